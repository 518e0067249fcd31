"""Simulates the held-out tasks of a dataset from a spec."""


def simulate_tasks(spec, suite, database, *, tasks, conversations=0, seed):
    """Write tasks with their expected results and their initial database.

    Args:
        spec: files of the spec: world, figures, sayings, procedures, kinds, tools, database,
            handbook, and conversations if there are any.
        suite: JSONL of the tasks to write.
        database: SQL script to write, the schema and the rows of all tasks.
        tasks: how many of one message.
        conversations: how many conversations follow them.
        seed: seed of everything drawn.
    """
    from specialist.core.text import write_rows
    from specialist.data import simulation

    source = simulation.Spec.of(spec)
    rows, script = simulation.tasks(source, tasks, conversations, seed)
    write_rows(suite, rows)
    database.write_text(script, encoding="utf-8")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(simulate_tasks, snakemake)
