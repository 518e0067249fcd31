"""Simulates the training episodes of a dataset from a spec."""


def simulate_sft(spec, sft, *, episodes, dialogues=0, seed):
    """Write episodes of a good agent, each with its own handbook.

    Args:
        spec: files of the spec: world, sayings, procedures, kinds, tools, database,
            handbook, and conversations if there are any.
        sft: JSONL to write, rows with "messages".
        episodes: how many of one message.
        dialogues: how many conversations, each with a row for each message of the customer.
        seed: seed of everything drawn.
    """
    from specialist.core.text import write_rows
    from specialist.data import simulation

    write_rows(sft, simulation.episodes(simulation.Spec.of(spec), episodes, dialogues, seed))


if "snakemake" in globals():
    from specialist.engine.step import run

    run(simulate_sft, snakemake)
