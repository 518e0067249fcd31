"""Differences between the record of a job and the job as it would run now, in words."""

import json

LONGEST, MOST = 60, 4


def params(old, new):
    """Parameters: "learning_rate: 0.003 -> 0.001"; values inside others by dotted names.

    Args:
        old: {name: value} of the record.
        new: the same of the job, without its `code`, because the function `code` explains more.
    """
    old, new = ({k: v for k, v in each.items() if k != "code"} for each in (old, new))
    return list(_values(old, json.loads(json.dumps(new, default=str))))


def files(old, new):
    """Inputs: "kb/refunds.md changed", and new and removed files.

    Args:
        old: {path: SHA-256} of the record.
        new: {path: SHA-256} of the job; None stands for a file whose content is not known yet.
    """
    both = [path for path in old if path in new]
    changed = [path for path in both if new[path] not in (None, old[path])]
    return [
        *_few(changed, "{} changed"),
        *_few([path for path in new if path not in old], "new input: {}"),
        *_few([path for path in old if path not in new], "no longer an input: {}"),
    ]


def code(old, new):
    """Code and software: "specialist/core/text.py: function pack changed", "envs/train.txt: torch
    2.12.0 -> 2.13.0".

    Args:
        old, new: as `specialist.engine.digest.parts` returns them.
    """
    found = []
    for file in sorted(old | new):
        before, now = old.get(file), new.get(file)
        if before is None or now is None:
            found.append(f"{file} is {'new' if before is None else 'gone'}")
        elif file.startswith("envs/"):
            found += [f"{file}: {_version(*pin)}" for pin in _differing(before, now)]
        elif pieces := list(_differing(before, now)):
            words = [f"{piece} {_fate(*each)}" for piece, *each in pieces]
            found.append(f"{file}: {_list(words)}")
    return found


def _values(old, new, prefix=""):
    """One text for each value that differs between two dicts."""
    for key, before, now in _differing(old, new):
        name = f"{prefix}{key}"
        if isinstance(before, dict) and isinstance(now, dict):
            yield from _values(before, now, f"{name}.")
        elif isinstance(before, list) and isinstance(now, list) and _set(before) != _set(now):
            came = [f"+ {_short(item)}" for item in now if item not in before]
            went = [f"- {_short(item)}" for item in before if item not in now]
            yield f"{name}: {_list(came + went)}"
        else:
            yield f"{name}: {_short(before)} -> {_short(now)}"


def _set(values):
    return set(map(str, values))


def _short(value):
    if value is None:
        return "not set"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _differing(old, new):
    """(key, old value, new value) where two dicts differ; None stands for no value."""
    for key in sorted(old | new):
        if old.get(key) != new.get(key):
            yield key, old.get(key), new.get(key)


def _fate(before, now):
    return "is new" if before is None else "is gone" if now is None else "changed"


def _version(package, before, now):
    if before is None or now is None:
        return f"{package} {now or before} {_fate(before, now)}"
    return f"{package} {before} -> {now}"


def _few(paths, sentence):
    """One sentence for each path, or one for all if they are many."""
    if len(paths) <= MOST:
        return [sentence.format(path) for path in paths]
    return [sentence.format(f"{paths[0]} and {len(paths) - 1} more files")]


def _list(words):
    shown = words if len(words) <= MOST else [*words[: MOST - 1], f"{len(words) - MOST + 1} more"]
    return ", ".join(shown)
