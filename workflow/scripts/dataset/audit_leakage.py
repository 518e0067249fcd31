"""Audits the text that the held-out tasks of a dataset share with the training data."""

RUN_WORDS = 8


def audit_leakage(tasks, training, leakage, *, max_leaking_tasks):
    """Write which tasks share text with the training data.

    Args:
        tasks: JSONL of prepare_tasks.
        training: JSONL of all training data, as prepare_corpus and prepare_sft wrote it.
        leakage: JSON to write; see `specialist.data.leakage.audit`, with the "limit" of
            "n_leaking", and "passed".
        max_leaking_tasks: tasks that may share text with the training data.

    Raises:
        UserError: more tasks leak.
    """
    import json

    from specialist.core.gates import check
    from specialist.core.text import read_rows
    from specialist.data.leakage import audit

    result = audit(list(read_rows(tasks)), training, RUN_WORDS)
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
    result |= {"limit": gate["limit"], "passed": gate["passed"]}
    leakage.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{result['n_leaking']} of {result['n_tasks']} tasks share text with the training data")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(audit_leakage, snakemake)
