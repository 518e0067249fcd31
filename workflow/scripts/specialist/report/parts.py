"""What each part of the headline's system adds to the tasks that it solves."""

import json
from collections import Counter

from specialist.report.claims import bootstrap_interval
from specialist.report.twins import identity


def contributions(config, outcomes, headline):
    """The share of tasks that each part of a system adds.

    A part is measured by the system that lacks it, or has another, and is the same in all else.

    Args:
        config: the configuration of the run, with its "systems" and "adapters".
        outcomes: {system: {task: class of its failure, or None}}.
        headline: name of a system.

    Returns:
        list of {"part", "without" (a system), "value", "low", "high"}: the share of tasks that the
        part adds, with a 95 % bootstrap interval over the tasks that both systems ran.
    """
    entries = {name: identity(entry) for name, entry in config["systems"].items()}
    mine = entries[headline]
    adapter = config["adapters"].get(mine.get("adapter"), {})
    lacking = {
        "the adapter": {**_only(mine, "index"), "base": adapter.get("base")},
        "retrieval": {key: value for key, value in mine.items() if key != "index"},
        "tools": {**mine, "tools": False},
    }
    found = []
    for part, wanted in lacking.items():
        others = [
            name for name, entry in entries.items() if name != headline and _fits(entry, wanted)
        ]
        if others:
            found.append({"part": part, "without": others[0]})
    for name, entry in entries.items():
        if "engine" in mine:  # it does not run a type of this project
            break
        if entry != mine and {**entry, "quantization": mine.get("quantization")} == mine:
            kinds = f"{mine['quantization']} instead of {entry['quantization']}"
            found.append({"part": kinds, "without": name})
    return [row | _added(outcomes[headline], outcomes[row["without"]]) for row in found]


def _only(entry, *keys):
    return {key: entry[key] for key in keys if key in entry}


def _fits(entry, wanted):
    """Whether a system has the wanted settings, and no other index, adapter, policy or base."""
    extra = {"index", "adapter", "policy", "base"} & (entry.keys() - wanted.keys())
    return not extra and all(entry.get(key) == value for key, value in wanted.items())


def _added(mine, others):
    values = [int(not mine[task]) - int(not others[task]) for task in _both(mine, others)]
    return dict(zip(("value", "low", "high"), map(float, bootstrap_interval(values)), strict=True))


def _both(one, other):
    """The tasks that both systems ran, in their order; a system may run some of them only."""
    return [task for task in one if task in other]


def by_kind(tasks, outcomes):
    """How a system did on each kind of task that it ran.

    Args:
        tasks: rows of the suite.
        outcomes: {task: class of its failure, or None}.

    Returns:
        list of {"kind", "n", "solved", "failures" ({class: number})}, by the name of the kind.
    """
    tasks = [task for task in tasks if task["id"] in outcomes]
    found = {task["kind"]: Counter() for task in sorted(tasks, key=lambda task: task["kind"])}
    for task in tasks:
        found[task["kind"]][outcomes[task["id"]]] += 1
    return [
        {"kind": kind, "n": counts.total(), "solved": counts.pop(None, 0), "failures": counts}
        for kind, counts in found.items()
    ]


def first_turns(traces, outcomes, systems):
    """The first turn of two systems on one task, as samples of what training changes.

    The task is the first that the second system solves and the first does not, or the first task,
    of those that both ran.

    Args:
        traces: {system: rows of run_agent}.
        outcomes: {system: {task: class of its failure, or None}}.
        systems: two names.

    Returns:
        {"task", "message", "turns": {system: text}}
    """
    before, after = (outcomes[name] for name in systems)
    both = _both(after, before)
    found = next((task for task in both if not after[task] and before[task]), both[0])
    turns, message = {}, None
    for name in systems:
        trace = next(row for row in traces[name] if (row["id"], row["trial"]) == (found, 0))
        message, turns[name] = trace["exchanges"][0]["message"], _first(trace)
    return {"task": found, "message": message, "turns": turns}


def _first(trace):
    """What the agent wrote first: a thought with a call, or with a reply."""
    step = next(iter(trace["steps"]), None)
    if step is None or not step["valid"]:
        return "no valid turn"
    arguments = json.dumps(step["arguments"], ensure_ascii=False)
    acted = f"{step['call']} {arguments}" if step["call"] else trace["exchanges"][0]["reply"]
    return "\n".join(filter(None, (step["thought"], acted)))
