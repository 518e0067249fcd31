"""Scores the traces of one system. No model is run."""

import json
from collections import Counter


def score(traces, times, tasks, gguf, scores, *, scripted):
    """Write the scores of a system.

    Args:
        traces, times: JSONL of run_agent.
        tasks: the JSONL of tasks that it ran.
        gguf: the model, for its size and hash, or an empty list for a policy without one.
        scores: JSON to write: n, success, success_rate; by_kind; turns_on_kb (of the tasks
            that turn on a figure of the knowledge base); failures, by the classes of
            `specialist.agent.scoring`; outcomes (task -> class of its failure, or null);
            valid_action_rate (share of the turns that are an answer or a call that fits its
            tool's schema); finished_rate (share of the turns that the model ended itself, within
            the tokens it had); steps_mean; prompt_tokens (evaluated, not those in the cache)
            and generated_tokens, of all tasks together; model (sha256, bytes,
            bits_per_weight); traces (the path); and under times what differs from run to
            run: tokens_per_second and latency_s, the p50 and p95 of seconds for a task.
        scripted: whether the system takes its steps from each task's `solution`.

    Raises:
        UserError: a solution does not reach what its task expects.
    """
    import numpy as np

    from specialist.agent.scoring import CUT, failure
    from specialist.core.files import sha256
    from specialist.core.text import read_rows
    from specialist.gguf.info import bits_per_weight

    suite, runs, took = (list(read_rows(path)) for path in (tasks, traces, times))
    if len({tuple(row["id"] for row in rows) for rows in (suite, runs, took)}) > 1:
        raise ValueError(f"{traces} and {times} are not of the tasks in {tasks}")
    outcomes = {task["id"]: failure(task, run) for task, run in zip(suite, runs, strict=True)}
    if scripted:
        _check_solutions(tasks, suite, runs, outcomes)
    steps = [step for run in runs for step in run["steps"]]
    cut = sum(run["ended"] in CUT for run in runs)
    generated = sum(step["generated_tokens"] for step in steps)
    p50, p95 = np.percentile([row["total"] for row in took], [50, 95]).tolist()
    result = {
        **_rate(suite, outcomes),
        "by_kind": {
            kind: _count([task for task in suite if task["kind"] == kind], outcomes)
            for kind in sorted({task["kind"] for task in suite})
        },
        "turns_on_kb": _count([task for task in suite if task["turns_on_kb"]], outcomes),
        "failures": Counter(filter(None, outcomes.values())),
        "outcomes": outcomes,
        "valid_action_rate": sum(step["valid"] for step in steps) / len(steps),
        "finished_rate": 1 - cut / len(steps),
        "steps_mean": len(steps) / len(runs),
        "prompt_tokens": sum(step["prompt_tokens"] for step in steps),
        "generated_tokens": generated,
        "model": None,
        "traces": traces.as_posix(),
        "times": {"tokens_per_second": None, "latency_s": {"p50": p50, "p95": p95}},
    }
    if gguf:
        result["model"] = {
            "sha256": sha256(gguf),
            "bytes": gguf.stat().st_size,
            "bits_per_weight": bits_per_weight(gguf),
        }
        generating = sum(row["generated"] for row in took)
        result["times"]["tokens_per_second"] = generated / generating if generating else 0.0
    scores.write_text(json.dumps(result, indent=1, sort_keys=True, allow_nan=False) + "\n")
    print(f"{result['success']} of {result['n']} tasks solved; {dict(result['failures'])}")


def _check_solutions(path, tasks, runs, outcomes):
    from itertools import islice

    from specialist.agent.scoring import differences
    from specialist.core.errors import UserError

    wrong = []
    for line, (task, run) in enumerate(zip(tasks, runs, strict=True), 1):
        if kind := outcomes[task["id"]]:
            found = islice(differences(task, run["changes"], run["answer"]), 3)
            texts = [] if run["ended"] == "answer" else [f"it ended with {run['ended']}"]
            texts += [f"expect.{'.'.join(map(str, where))}: {text}" for where, text in found]
            wrong.append(f"  {path}:{line}: {task['id']}: {kind}: {'; '.join(texts)}")
    if wrong:
        lines = "\n".join(wrong[:10])
        raise UserError(
            f"{len(wrong)} solution(s) do not reach what their tasks expect; fix `expect` or "
            f"`solution` in the dataset's tasks.jsonl:\n{lines}"
        )


def _count(tasks, outcomes):
    return {"n": len(tasks), "success": sum(outcomes[task["id"]] is None for task in tasks)}


def _rate(tasks, outcomes):
    counts = _count(tasks, outcomes)
    return counts | {"success_rate": counts["success"] / counts["n"]}


if "snakemake" in globals():
    from specialist.engine.step import run

    run(score, snakemake)
