"""Simulates the knowledge base of a dataset from a spec."""


def simulate_kb(spec, articles, *, seed):
    """Write the handbook with the current figures.

    Args:
        spec: files of the spec: world, sayings, figures, handbook.
        articles: files to write, named as the pages of the handbook.
        seed: seed of everything drawn.
    """
    from specialist.data import simulation

    pages = simulation.knowledge_base(simulation.Spec.of(spec), seed)
    for path in articles:
        path.write_text(pages[path.name], encoding="utf-8")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(simulate_kb, snakemake)
