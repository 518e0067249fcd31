"""Simulates the corpus of a dataset from a spec."""


def simulate_corpus(spec, corpus, *, documents, seed):
    """Write the documents that the base model is pretrained on.

    Args:
        spec: files of the spec: world, sayings, corpus, labels, tools, handbook.
        corpus: JSONL to write, rows with "text" or "messages".
        documents: how many.
        seed: seed of everything drawn.
    """
    from specialist.core.text import write_rows
    from specialist.data import simulation

    write_rows(corpus, simulation.corpus(simulation.Spec.of(spec), documents, seed))


if "snakemake" in globals():
    from specialist.engine.step import run

    run(simulate_corpus, snakemake)
