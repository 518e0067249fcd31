"""Splits a text into a part for training and a part that is held out."""


def split_corpus(corpus, train, validation, *, validation_share):
    """Cut a text once, by characters, and change nothing in it.

    Args:
        corpus: the text, UTF-8.
        train, validation: JSONL to write, one row with "text".
        validation_share: share of the characters, at the end of the text, that is held out.

    Raises:
        UserError: the text is no UTF-8, holds marks of the chat template, or is too short.
    """
    from specialist.core.errors import UserError
    from specialist.core.text import write_rows
    from specialist.data.files import read_text
    from specialist.data.formats import Mistakes, check_text

    with Mistakes() as mistakes:
        text = read_text(corpus, mistakes)
        mistakes.stop()
        check_text(text, mistakes, corpus)
    cut = int(len(text) * (1 - validation_share))
    parts = text[:cut], text[cut:]
    if not all(part.strip() for part in parts):
        raise UserError(f"{corpus}: found {len(text)} characters, too few to split; add text")
    for path, part in zip((train, validation), parts, strict=True):
        write_rows(path, [{"text": part}])
    print(f"{corpus}: {len(parts[0])} characters for training, {len(parts[1])} held out")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(split_corpus, snakemake)
