"""Figures of a system: of tasks with one message, of conversations, and of harm.

All are of trial 0, so that systems with other numbers of trials compare. Harm and pass^k use all
trials.
"""

from collections import Counter
from dataclasses import dataclass
from math import comb

from specialist.agent.harm import harm
from specialist.agent.parts import exchanges, parts
from specialist.agent.scoring import CUT, failure

TRIES = range(1, 5)  # k of pass^k
EXAMPLES = 5


@dataclass
class Run:
    """One run of a task.

    Attributes:
        task, trace: a row of the tasks, and of the traces.
        failure: see `specialist.agent.scoring.failure`.
        harm: see `specialist.agent.harm.harm`.
    """

    task: dict
    trace: dict
    failure: str | None
    harm: list

    @classmethod
    def judged(cls, task, trace, tools):
        """The run of a trace; `tools` are the entries of the dataset's tools.yaml."""
        return cls(task, trace, failure(task, trace, tools), harm(task, trace, tools))

    @property
    def trial(self):
        return self.trace.get("trial", 0)

    @property
    def steps(self):
        """The agent's own steps, without those of the loop's rules."""
        return [step for step in self.trace["steps"] if step.get("by") != "rule"]


def of_runs(runs):
    """Figures of a system.

    Args:
        runs: list of `Run`, all trials of each task.

    Returns:
        dict; see `score` in workflow/scripts/agent/score.py.
    """
    first = [run for run in runs if run.trial == 0]
    steps = [step for run in first for step in run.steps]
    ended = [each["ended"] for run in first for each in exchanges(run.task, run.trace)]
    kinds = sorted({run.task["kind"] for run in first})
    solved = count(first)
    return {
        **solved,
        "success_rate": solved["success"] / solved["n"],
        "tasks": of_tasks(runs),
        "conversations": of_conversations(runs),
        "by_kind": {
            kind: count([run for run in first if run.task["kind"] == kind]) for kind in kinds
        },
        "turns_on_kb": count([run for run in first if run.task["turns_on_kb"]]),
        "failures": Counter(run.failure for run in first if run.failure),
        "outcomes": {run.task["id"]: run.failure for run in first},
        "trials": trials(runs),
        "harm": {"examples": harm_examples(runs), "runs": harm_by_task(runs)},
        "valid_action_rate": sum(step["valid"] for step in steps) / len(steps),
        "finished_rate": 1 - sum(each in CUT for each in ended) / len(steps),
        "steps_mean": len(steps) / len(first),
        "prompt_tokens": sum(step["prompt_tokens"] for step in steps),
        "generated_tokens": sum(step["generated_tokens"] for step in steps),
    }


def trials(runs):
    """{task: [failure of each trial, in order]}."""
    found = {}
    for run in sorted(runs, key=lambda run: run.trial):
        found.setdefault(run.task["id"], []).append(run.failure)
    return found


def count(runs):
    """{"n", "success"} of runs."""
    return {"n": len(runs), "success": sum(run.failure is None for run in runs)}


def of_tasks(runs):
    """Figures of tasks with one message; None without such tasks."""
    mine = [run for run in runs if "requests" not in run.task]
    first = [run for run in mine if run.trial == 0]
    return count(first) | {"harm_per_100": harm_per_100(mine)} if mine else None


def of_conversations(runs):
    """Figures of conversations, without their interval; None without conversations.

    See `conversations` in workflow/schemas/agent_eval.schema.json.
    """
    mine = [run for run in runs if "requests" in run.task]
    if not mine:
        return None
    first = [run for run in mine if run.trial == 0]
    solved = [part.solved for run in first for part in parts(run.task, run.trace)]
    sources = Counter(each["source"] for run in first for each in run.trace["exchanges"])
    unrequested = [
        run for run in first if any(item["kind"] == "unrequested_write" for item in run.harm)
    ]
    return {
        **count(first),
        "requests": {"n": len(solved), "success": sum(solved)},
        "pass_hat_k": pass_hat_k(mine),
        "unrequested_writes": len(unrequested),
        "forbidden_writes": sum(run.failure == "forbidden_action" for run in first),
        "unnecessary_questions": sources["vain"],
        "turns_mean": sum(len(run.steps) for run in first) / len(first),
        "harm_per_100": harm_per_100(mine),
    }


def pass_hat_k(runs):
    """pass^k: the chance that k runs of a task all solve it, as the mean over the tasks.

    With n runs, c of them solved, C(c, k) / C(n, k) estimates it without bias (tau-bench,
    arXiv:2406.12045).

    Returns:
        {k as text: chance, or None where a task has fewer than k runs}.
    """
    tried = Counter(run.task["id"] for run in runs)
    won = Counter(run.task["id"] for run in runs if run.failure is None)
    least = min(tried.values())
    return {
        str(k): sum(comb(won[task], k) / comb(n, k) for task, n in tried.items()) / len(tried)
        if k <= least
        else None
        for k in TRIES
    }


def harm_per_100(runs):
    """Runs with harm, in 100 runs."""
    return 100 * sum(bool(run.harm) for run in runs) / len(runs)


def harm_examples(runs):
    """A few harmful runs as {"task", "kind", "text"}, of as many kinds as possible."""
    seen, ranked = Counter(), []
    for run in runs:
        if run.harm:
            item = run.harm[0]
            pair = item["kind"], run.task["kind"]
            example = {"task": run.task["id"], "kind": item["kind"], "text": item["text"]}
            ranked.append((seen[pair], len(ranked), example))
            seen[pair] += 1
    return [example for *_, example in sorted(ranked)[:EXAMPLES]]


def harm_by_task(runs):
    """{task: {trial: what `specialist.agent.harm.harm` found}} of the runs with harm."""
    found = {}
    for run in runs:
        if run.harm:
            found.setdefault(run.task["id"], {})[str(run.trial)] = run.harm
    return found
