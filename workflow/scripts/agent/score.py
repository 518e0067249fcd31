"""Scores the traces of one system. No model is run."""

import json


def score(traces, times, tasks, tools, gguf, scores, *, declines, scripted, sample):
    """Write the scores of a system.

    Args:
        traces, times: JSONL of run_agent.
        tasks: the JSONL of tasks that it ran.
        tools: tools.yaml of the dataset, or an empty list; its `claims` define claims.
        gguf: the model, for its size and hash, or an empty list for a policy without one.
        scores: JSON to write: n, success, success_rate; tasks and conversations, see
            `specialist.agent.figures`; by_kind; turns_on_kb (of the tasks
            that turn on a figure of the knowledge base); failures, by the classes of
            `specialist.agent.scoring`; outcomes (task -> class of its failure, or null);
            trials (task -> the same of each trial);
            declining, see `specialist.agent.declining`;
            harm: examples, and runs (task -> trial -> what `specialist.agent.harm` found);
            valid_action_rate (share of the turns that are an answer or a call that fits its
            tool's schema); finished_rate (share of the turns that the model ended itself, within
            the tokens it had); steps_mean; prompt_tokens (evaluated, not those in the cache)
            and generated_tokens, of all tasks together; model (sha256, bytes,
            bits_per_weight); traces (the path); and under times what differs from run to
            run: tokens_per_second and latency_s, the p50 and p95 of seconds for a task.
            All are of trial 0, except harm, declining and pass^k.
        declines: patterns of replies that decline a question.
        scripted: whether the system takes its steps from each task's `solution`.
        sample: number of tasks that it ran, or None for all.

    Raises:
        UserError: a solution does not have the result that its task expects.
    """
    import numpy as np
    import yaml

    from specialist.agent.declining import declining
    from specialist.agent.figures import Run, of_runs
    from specialist.agent.record import spread
    from specialist.core.files import sha256
    from specialist.core.text import read_rows
    from specialist.gguf.info import bits_per_weight

    suite, rows, took = (list(read_rows(path)) for path in (tasks, traces, times))
    suite = spread(suite, sample)
    offered = yaml.safe_load(tools.read_text(encoding="utf-8")) if tools else []
    if [row["id"] for row in rows] != [row["id"] for row in took]:
        raise ValueError(f"{traces} and {times} are not of the same tasks")
    by_id = {task["id"]: task for task in suite}
    if list(by_id) != [row["id"] for row in rows if row.get("trial", 0) == 0]:
        raise ValueError(f"{traces} and {times} are not of the tasks in {tasks}")
    runs = [Run.judged(by_id[row["id"]], row, offered) for row in rows]
    if scripted:
        _check_solutions(tasks, suite, runs)
    result = of_runs(runs) | {"model": None, "traces": traces.as_posix()}
    result["declining"] = declining(runs, declines, offered)
    took = [row for row, run in zip(took, runs, strict=True) if run.trial == 0]
    p50, p95 = np.percentile([row["total"] for row in took], [50, 95]).tolist()
    result["times"] = {"tokens_per_second": None, "latency_s": {"p50": p50, "p95": p95}}
    if gguf:
        result["model"] = {
            "sha256": sha256(gguf),
            "bytes": gguf.stat().st_size,
            "bits_per_weight": bits_per_weight(gguf),
        }
        seconds, tokens = sum(row["generated"] for row in took), result["generated_tokens"]
        result["times"]["tokens_per_second"] = tokens / seconds if seconds else 0.0
    scores.write_text(json.dumps(result, indent=1, sort_keys=True, allow_nan=False) + "\n")
    print(f"{result['success']} of {result['n']} tasks solved; {dict(result['failures'])}")


def _check_solutions(path, suite, runs):
    from itertools import islice

    from specialist.agent.scoring import mistakes
    from specialist.core.errors import UserError

    lines = {task["id"]: line for line, task in enumerate(suite, 1)}
    wrong = [
        f"  {path}:{lines[run.task['id']]}: {run.task['id']}: {run.failure}: "
        + "; ".join(islice(mistakes(run.task, run.trace), 3))
        for run in runs
        if run.failure
    ]
    if wrong:
        found = "\n".join(wrong[:10])
        raise UserError(
            f"{len(wrong)} solution(s) do not have the results that their tasks expect; fix "
            f"`expect` or `solution` in the dataset's tasks.jsonl:\n{found}"
        )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(score, snakemake)
