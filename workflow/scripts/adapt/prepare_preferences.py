"""Prepares preference rows: checked, split."""

from specialist.data.formats import Mistakes, check_messages, message_turns, split
from specialist.data.reading import rows as read

FIELDS = ("prompt", "chosen", "rejected")


def prepare_preferences(sources, train, validation, *, validation_share, seed):
    """Write preferences as {"prompt", "chosen", "rejected"}, each a list of messages.

    Args:
        sources: JSONL of such rows; "prompt" ends where the assistant is to go on, and the
            other two are how it should and should not.
        train, validation: JSONL to write.
        validation_share: share of the rows for validation.
        seed: seed of the split.

    Raises:
        UserError: what is wrong with the files, place by place.
    """
    from specialist.core.text import write_rows

    with Mistakes() as mistakes:
        rows = [
            found
            for path in sources
            for place, row in read(path, mistakes)
            if (found := _preference(row, mistakes, place))
        ]
        mistakes.stop()
        parts = split(rows, validation_share, seed, mistakes, sources[0])
    for path, part in zip((train, validation), parts, strict=True):
        write_rows(path, part)
    print(f"preferences: {len(parts[0])} for training, {len(parts[1])} for validation")


def _preference(row, mistakes, place):
    """A row of clean messages, or None if something is wrong with it."""
    turns = {name: message_turns(row.get(name), mistakes, place, name) for name in FIELDS}
    if None in turns.values():
        return None
    asked, sides = len(turns["prompt"]), {}
    for name in FIELDS[1:]:
        if not turns[name]:
            return mistakes.add(place, name, text="found no turn, expected one of the assistant")
        sides[name] = check_messages(turns["prompt"] + turns[name], mistakes, place)
    if None in sides.values():
        return None
    if sides["chosen"] == sides["rejected"]:
        text = "found the same as in chosen, expected what is worse; change it or remove the row"
        return mistakes.add(place, "rejected", text=text)
    prompt = sides["chosen"][:asked]
    return {"prompt": prompt} | {name: found[asked:] for name, found in sides.items()}


if "snakemake" in globals():
    from specialist.engine.step import run

    run(prepare_preferences, snakemake)
