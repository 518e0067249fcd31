"""Prepares preference rows: checked, split."""


def prepare_preferences(sources, train, validation, *, validation_share, seed):
    """Write preferences as {"prompt", "chosen", "rejected"}, each a list of messages.

    Args:
        sources: files of such rows that `specialist.data.reading.rows` reads; "prompt" ends
            where the assistant is to go on, and the other two are how it should and should not.
            Each is a list of messages or the text of one.
        train, validation: JSONL to write.
        validation_share: share of the rows for validation.
        seed: seed of the split.

    Raises:
        UserError: what is wrong with the files, place by place.
    """
    from specialist.core.text import write_rows
    from specialist.data.formats import Mistakes, split
    from specialist.data.preferences import Preferences
    from specialist.data.reading import rows

    with Mistakes() as mistakes:
        reader = Preferences(mistakes)
        found = [
            preference
            for path in sources
            for place, row in rows(path, mistakes)
            if (preference := reader.read(row, place))
        ]
        mistakes.stop()
        parts = split(found, validation_share, seed, mistakes, sources[0])
    for path, part in zip((train, validation), parts, strict=True):
        write_rows(path, part)
    print(f"preferences: {len(parts[0])} for training, {len(parts[1])} for validation")
    for text, number in sorted((reader.converted + mistakes.notes).items()):
        print(f"preferences: {text} ({number} times)")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(prepare_preferences, snakemake)
