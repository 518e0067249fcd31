"""Prepares the held-out tasks of a dataset: checked, with their world, and audited."""

RUN_WORDS = 8


def prepare_tasks(suite, tools, database, articles, training, tasks, leakage, *, max_leaking_tasks):
    """Write the tasks in full form, and what they have in common with the training data.

    Args:
        suite: JSONL of tasks; see workflow/schemas/task.schema.yaml.
        tools: tools.yaml, or an empty list: the agent can only search and answer.
        database: SQL script of the database, or an empty list.
        articles: *.md and *.txt files of the knowledge base.
        training: JSONL of all training data, as prepare_corpus and prepare_sft wrote it.
        tasks: JSONL to write, every key of the schema that has a default filled in.
        leakage: JSON to write; see `specialist.leakage.audit`, with the "limit" of
            "n_leaking", and "passed".
        max_leaking_tasks: tasks that may share text with the training data.

    Raises:
        UserError: what is wrong with the files, place by place; or more tasks leak.
    """
    import json

    from specialist.dataset import Mistakes
    from specialist.gates import check
    from specialist.leakage import audit
    from specialist.suite import check_articles, check_tasks, read_tasks
    from specialist.text import write_rows
    from specialist.toolbox import read_database, read_tools

    with Mistakes() as mistakes:
        check_articles(articles, mistakes)
        found = read_tasks(suite, mistakes)
        world = read_database(database, mistakes)
        session_keys = {name for _, task in found for name in task["session"]}
        offered = read_tools(tools, world, session_keys, mistakes)
        check_tasks(found, offered, world, [path.name for path in articles], mistakes)
    rows = [task for _, task in found]
    result = audit(rows, training, RUN_WORDS)
    shown = [
        f"{leak['task']} and {leak['file']}:{leak['line']}: {leak.get('run') or leak['identifier']}"
        for leak in result["leaking"]
    ]
    gate = check(
        "held-out tasks against the training data",
        "Rephrase the tasks or remove the training rows, or raise max_leaking_tasks of the "
        "dataset in config:\n  " + "\n  ".join(shown),
        leaking_tasks=(result["n_leaking"], max_leaking_tasks),
    )["leaking_tasks"]
    write_rows(tasks, rows)
    result |= {"limit": gate["limit"], "passed": gate["passed"]}
    leakage.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(rows)} tasks, {result['n_leaking']} share text with the training data")


if "snakemake" in globals():
    from specialist.step import run

    run(prepare_tasks, snakemake)
