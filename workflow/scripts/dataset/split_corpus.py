"""Splits a text into a training part and a held-out part."""

BLOCK = 1 << 20  # characters that are written at a time


def split_corpus(corpus, train, validation, *, validation_share):
    """Cut a text once, by characters, without changing it.

    A part above two million characters is cut into several rows, at paragraphs if it has them.

    Args:
        corpus: the text, UTF-8.
        train, validation: JSONL to write, rows with "text": one, or several for a long text.
        validation_share: share of the characters, at the end of the text, that is held out.

    Raises:
        UserError: the text is not UTF-8, holds marks of the chat template, or is too short.
    """
    from specialist.core.errors import UserError
    from specialist.core.scratch import scratch
    from specialist.core.text import write_rows
    from specialist.data.corpus import LONGEST, blocks, pieces
    from specialist.data.formats import Mistakes, has_marks

    length = 0
    with Mistakes() as mistakes:
        for block in blocks(corpus, mistakes):
            has_marks(block, mistakes, corpus)
            length += len(block)
    cut, written = int(length * (1 - validation_share)), []
    with (
        scratch(train) as folder,
        # The text is checked now. It is read again, because the cut depends on its length.
        open(corpus, encoding="utf-8-sig", newline="") as text,
    ):
        for path, count in ((train, cut), (validation, length - cut)):
            written.append(folder / path.name)
            rows = ({"text": piece} for piece in pieces(_read(text, count), LONGEST))
            write_rows(written[-1], rows)
        if any(_blank(made) for made in written):
            raise UserError(f"{corpus}: found {length} characters, too few to split; add text")
        for made, path in zip(written, (train, validation), strict=True):
            made.replace(path)
    print(f"{corpus}: {cut} characters for training, {length - cut} held out")


def _read(text, count):
    """Yield the next characters of a file, about a megabyte at a time."""
    while count > 0 and (part := text.read(min(count, BLOCK))):
        yield part
        count -= len(part)


def _blank(path):
    from specialist.core.text import read_rows

    return not any(row["text"].strip() for row in read_rows(path))


if "snakemake" in globals():
    from specialist.engine.step import run

    run(split_corpus, snakemake)
