"""What differs between the record of a job and what it would be now, in words for people."""

import json

LONGEST, MOST = 60, 4


def params(old, new):
    """Parameters: "learning_rate: 0.003 -> 0.001"; values inside others by dotted names.

    Args:
        old: {name: value} of the record.
        new: the same of the job; `code` is left out, as `code` tells more.
    """
    old, new = (_leaves({k: v for k, v in each.items() if k != "code"}) for each in (old, new))
    return [
        f"{name}: {_value(old, name)} -> {_value(new, name)}"
        for name in sorted(old | new)
        if old.get(name, ...) != new.get(name, ...)
    ]


def files(old, new):
    """Inputs: "kb/refunds.md changed", and files that came or went.

    Args:
        old: {path: SHA-256} of the record.
        new: {path: SHA-256} of the job; None stands for a file whose content is not known yet.
    """
    both = [path for path in old if path in new]
    changed = [path for path in both if new[path] not in (None, old[path])]
    return [
        *_few(changed, "{} changed"),
        *_few([path for path in new if path not in old], "{} is new among its inputs"),
        *_few([path for path in old if path not in new], "{} is no input any more"),
    ]


def code(old, new):
    """Code and software: "specialist/text.py: function pack changed", "envs/train.txt: torch
    2.12.0 -> 2.13.0".

    Args:
        old, new: as `specialist.code.parts` returns them.
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


def _leaves(value, prefix=""):
    """{"a.b": value} of nested dicts, with values as JSON holds them."""
    if not isinstance(value, dict) or not value:
        return {prefix.rstrip("."): json.loads(json.dumps(value, default=str))}
    found = {}
    for key, child in value.items():
        found |= _leaves(child, f"{prefix}{key}.")
    return found


def _value(leaves, name):
    if name not in leaves:
        return "not set"
    text = json.dumps(leaves[name], ensure_ascii=False)
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
