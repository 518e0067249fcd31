"""The runs of all tasks, for the browser in the page of a run."""

import json
from collections import Counter

LARGEST = 3_500_000  # bytes of conversations, so that the page stays under 5 MB


def conversations(tasks, systems, headline, largest=LARGEST):
    """The runs of all tasks, for run.js: trial 0, and others that failed or did harm.

    Args:
        tasks: rows of the suite.
        systems: {name: (traces, times, scores)}: rows of run_agent, and the output of score.
        headline: name of the system that is shown first.
        largest: bytes; beyond it, solved tasks are left out, the last of the suite first.

    Returns:
        (JSON for a script element, number of runs that were left out).
    """
    runs = {name: dict(_runs(*files)) for name, files in systems.items()}
    order = {task["id"]: place for place, task in enumerate(tasks)}
    trials = sorted({run for found in runs.values() for run in found}, key=lambda run: (
        order[run[0]], run[1],
    ))  # fmt: skip
    bad = {
        run for found in runs.values() for run, (_, _, failure, harm) in found.items()
        if failure or harm
    }  # fmt: skip
    kept = trials
    while True:
        text = _encode(tasks, kept, runs, headline)
        size = len(text.encode("utf-8"))
        if size <= largest or len(kept) < 2:
            return text, len(trials) - len(kept)
        # Tasks that a system failed are of more interest.
        ranked = sorted(kept, key=lambda run: run not in bad)
        share = largest / size
        chosen = set(ranked[: max(1, int(len(ranked) * share))])
        kept = [run for run in kept if run in chosen]


def _runs(traces, times, scores):
    """Yield ((task, trial), (trace, times, failure, harm))."""
    for trace, clock in zip(traces, times, strict=True):
        task, trial = trace["id"], trace["trial"]
        failure = scores["trials"][task][trial]
        harm = scores["harm"]["runs"].get(task, {}).get(str(trial), [])
        if trial == 0 or failure or harm:
            yield (task, trial), (trace, clock, failure, harm)


def _encode(tasks, kept, runs, headline):
    strings, keys = {}, {(task, trial): f"{task}, trial {trial}" for task, trial in kept if trial}
    traces = {
        name: {
            keys.get(run, run[0]): _trace(*found[run], strings) for run in kept if run in found
        }
        for name, found in runs.items()
    }  # fmt: skip
    kinds = {task["id"]: task["kind"] for task in tasks}
    openings = {
        run: trace["exchanges"][0]["message"]
        for found in runs.values() for run, (trace, *_) in found.items()
    }  # fmt: skip
    shown = [trace for each in traces.values() for trace in each.values()]
    data = {
        "headline": headline,
        "systems": list(runs),
        "kinds": sorted(set(kinds.values())),
        "failures": sorted({trace["failure"] for trace in shown} - {None}),
        "harms": sorted({item["kind"] for trace in shown for item in trace["harm"]}),
        "tasks": [
            {"id": keys.get(run, run[0]), "kind": kinds[run[0]], "message": openings[run]}
            for run in kept
        ],
        "strings": list(strings),
        "traces": traces,
    }
    # A script element ends at "</script", and JSON may write "<" otherwise.
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _trace(trace, clock, failure, harm, strings):
    seconds = [*clock["steps"], *[None] * len(trace["steps"])]
    steps = list(zip(trace["steps"], seconds, strict=False))
    exchanges, before = [], {}
    for number, each in enumerate(trace["exchanges"]):
        kept = {key: each[key] for key in ("source", "message", "reply", "said", "rule", "ended")}
        mine = [pair for pair in steps if pair[0]["exchange"] == number]
        exchanges.append(
            kept
            | {
                "request": each["request"] + 1,
                "steps": [_step(step, taken, strings) for step, taken in mine],
                "changes": _since(before, each["changes"]),
            }
        )
        before = each["changes"]
    kept = {key: trace[key] for key in ("answer", "ended")}
    return {"failure": failure, "harm": harm, "exchanges": exchanges, **kept}


def _step(step, taken, strings):
    seen = step["observation"]
    same = ("thought", "call", "arguments", "sources", "error", "valid", "by")
    return {
        **{key: step[key] for key in (*same, "prompt_tokens", "generated_tokens")},
        "observation": None if seen is None else strings.setdefault(seen, len(strings)),
        "seconds": None if taken is None else round(taken, 4),
    }


def _since(before, after):
    """What changed from one state to another; both, and this, are changes since the start."""
    found = {}
    for table in dict.fromkeys([*before, *after]):
        old, new = before.get(table, {}), after.get(table, {})
        removed = _counted(new, "removed") + _counted(old, "added")
        added = _counted(new, "added") + _counted(old, "removed")
        sides = {"removed": removed - added, "added": added - removed}
        if any(sides.values()):
            found[table] = {
                side: [*map(json.loads, rows.elements())] for side, rows in sides.items()
            }
    return found


def _counted(change, side):
    return Counter(json.dumps(row, ensure_ascii=False) for row in change.get(side, ()))
