"""Prepares the held-out tasks of a dataset: checked, with their initial database."""


def prepare_tasks(suite, tools, database, tasks, *, articles, max_steps, context, max_messages):
    """Write the tasks in full form, after each solution was played on a copy of the database.

    Args:
        suite: list of JSONL of tasks; see workflow/schemas/task.schema.yaml.
        tools: tools.yaml, or an empty list: the agent can only search and answer.
        database: SQL script of the database, or an empty list.
        tasks: JSONL to write, every key of the schema that has a default filled in.
        articles: names of the knowledge base's files.
        max_steps: most turns of the agent in an exchange.
        context: most tokens of an exchange.
        max_messages: most messages of the customer in a task.

    Raises:
        UserError: what is wrong with the files, place by place.
    """
    from specialist.core.text import write_rows
    from specialist.data.constant import check_suite
    from specialist.data.customers import check_customer
    from specialist.data.formats import Mistakes
    from specialist.data.idle import check_constant
    from specialist.data.playing import rehearse_conversation
    from specialist.data.rehearsal import Stage, rehearse
    from specialist.data.suite import check_tasks, read_tasks
    from specialist.data.toolbox import read_database, read_tools, written_tables

    with Mistakes() as mistakes:
        found = [row for path in suite for row in read_tasks(path, mistakes)]
        world = read_database(database, mistakes)
        session_keys = {name for _, task in found for name in task["session"]}
        offered = read_tools(tools, world, session_keys, mistakes)
        stage = Stage(world, offered, max_steps, context, bool(articles))
        check_tasks(found, offered, written_tables(world, offered), articles, mistakes)
        spoken = [(place, task) for place, task in found if "requests" in task]
        for place, task in spoken:
            check_customer(task, max_messages, mistakes, place)
        mistakes.stop()  # only what fits can be played
        for place, task in found:
            play = rehearse_conversation if "requests" in task else rehearse
            play(task, stage, mistakes, place)
        mistakes.stop()
        check_suite([t for _, t in found if "requests" not in t], stage, mistakes, suite[0])
        check_constant([task for _, task in found], mistakes, suite[0])
    write_rows(tasks, (task for _, task in found))
    print(f"{len(found)} tasks, {len(spoken)} of them conversations")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(prepare_tasks, snakemake)
