"""Prepares preference rows: checked, split."""


def prepare_preferences(
    sources, train, validation, train_places, validation_places, *, validation_share, seed
):
    """Write preferences as {"prompt", "chosen", "rejected"}, each a list of messages.

    Args:
        sources: files of such rows that `specialist.data.reading.rows` reads; "prompt" ends
            where the assistant is to go on, and the other two are how it should and should not.
            Each is a list of messages or the text of one.
        train, validation: JSONL to write.
        train_places, validation_places: where each row came from; see `specialist.core.places`.
        validation_share: share of the rows for validation.
        seed: seed of the split.

    Raises:
        UserError: what is wrong with the files, place by place.
    """
    from specialist.data.formats import Mistakes
    from specialist.data.halves import write_split
    from specialist.data.preferences import Preferences
    from specialist.data.reading import rows

    with Mistakes() as mistakes:
        reader = Preferences(mistakes)
        counts = write_split(
            (
                (place, preference)
                for path in sources
                for place, row in rows(path, mistakes)
                if (preference := reader.read(row, place))
            ),
            [(train, train_places), (validation, validation_places)],
            share=validation_share,
            seed=seed,
            mistakes=mistakes,
            where=sources[0],
        )
    print("preferences: " + ", ".join(f"{value} {key}" for key, value in [*counts.items()][:4]))
    for text, number in sorted((reader.converted + mistakes.notes).items()):
        print(f"preferences: {text} ({number} times)")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(prepare_preferences, snakemake)
