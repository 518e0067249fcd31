"""Contents of the page of a run: contributions of the parts, and conversations."""

import base64
import hashlib
import json

LARGEST = 3_500_000  # bytes of conversations, so that the page stays under 5 MB


def contributions(config, systems, headline):
    """Sentences that say what each part of the headline's system adds, in points of tasks solved.

    A part is measured by the system that lacks it, or has another, and is the same in all else.

    Args:
        config: the configuration of the run, with its "systems" and "adapters".
        systems: {name: {"success_rate", ...}}.
        headline: name of a system.
    """
    entries, mine = config["systems"], config["systems"][headline]
    adapter = config["adapters"].get(mine.get("adapter"), {})
    lacking = {
        "The adapter adds": {**_only(mine, "index"), "base": adapter.get("base")},
        "Retrieval adds": {key: value for key, value in mine.items() if key != "index"},
        "Tools add": {**mine, "tools": False},
    }
    found = []
    for words, wanted in lacking.items():
        others = [
            name for name, entry in entries.items() if name != headline and _fits(entry, wanted)
        ]
        if others:
            found.append(f"{words} {_points(systems, headline, others[0])} points.")
    for name, entry in entries.items():
        if entry != mine and {**entry, "quantization": mine.get("quantization")} == mine:
            kinds = f"{mine['quantization']} against {entry['quantization']}"
            found.append(f"{kinds}: {_points(systems, headline, name)} points.")
    return found


def _only(entry, *keys):
    return {key: entry[key] for key in keys if key in entry}


def _fits(entry, wanted):
    """Whether a system has the wanted settings, and no other index, adapter, policy or base."""
    extra = {"index", "adapter", "policy", "base"} & (entry.keys() - wanted.keys())
    return not extra and all(entry.get(key) == value for key, value in wanted.items())


def _points(systems, one, other):
    return f"{100 * (systems[one]['success_rate'] - systems[other]['success_rate']):.1f}"


def conversations(tasks, systems, headline, largest=LARGEST):
    """The conversations of a run, for run.js.

    Args:
        tasks: rows of the suite.
        systems: {name: (traces, times, outcomes)}: rows of run_agent and the outcomes of score.
        headline: name of the system that is shown first.
        largest: bytes; beyond it, solved tasks are left out, the last of the suite first.

    Returns:
        (JSON for a script element, number of tasks that were left out).
    """
    failed = {
        task for _, _, outcomes in systems.values() for task, outcome in outcomes.items() if outcome
    }
    kept = [task["id"] for task in tasks]
    while True:
        text = _encode(tasks, systems, headline, set(kept))
        if len(text) <= largest or len(kept) < 2:
            return text, len(tasks) - len(kept)
        # Tasks that a system failed are of more interest.
        ranked = sorted(kept, key=lambda task: task not in failed)
        share = largest / len(text)
        chosen = set(ranked[: max(1, int(len(ranked) * share))])
        kept = [task for task in kept if task in chosen]


def _encode(tasks, systems, headline, kept):
    strings = {}
    traces = {
        name: {
            trace["id"]: _trace(trace, clock, outcomes[trace["id"]], strings)
            for trace, clock in zip(rows, times, strict=True)
            if trace["id"] in kept
        }
        for name, (rows, times, outcomes) in systems.items()
    }
    shown = [{key: task[key] for key in ("id", "kind", "message")} for task in tasks]
    failures = {trace["failure"] for each in traces.values() for trace in each.values()} - {None}
    data = {
        "headline": headline,
        "systems": list(systems),
        "kinds": sorted({task["kind"] for task in tasks}),
        "failures": sorted(failures),
        "tasks": [task for task in shown if task["id"] in kept],
        "strings": list(strings),
        "traces": traces,
    }
    # A script element ends at "</script", and JSON may write "<" otherwise.
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _trace(trace, clock, failure, strings):
    steps = []
    seconds = [*clock["steps"], *[None] * len(trace["steps"])]
    for step, taken in zip(trace["steps"], seconds, strict=False):
        seen = step["observation"]
        steps.append(
            {
                "thought": step["thought"],
                "call": step["call"],
                "arguments": step["arguments"],
                "observation": None if seen is None else strings.setdefault(seen, len(strings)),
                "sources": step["sources"],
                "error": step["error"],
                "valid": step["valid"],
                "prompt_tokens": step["prompt_tokens"],
                "generated_tokens": step["generated_tokens"],
                "seconds": None if taken is None else round(taken, 4),
            }
        )
    kept = {key: trace[key] for key in ("answer", "ended", "changes")}
    return {"failure": failure, "steps": steps, **kept}


def script_hash(script):
    """The source of a script for a Content-Security-Policy."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
