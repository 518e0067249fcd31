"""Prepares the corpus of a dataset: checked, normalised, without duplicates, split."""

import json

from specialist.core.schema_errors import near
from specialist.data.files import read_text
from specialist.data.formats import (
    Mistakes,
    check_text,
    clean,
    split,
)
from specialist.data.json_rows import read_jsonl
from specialist.data.messages import check_messages, message_turns

LONGEST = 8000  # characters in a piece of a text file; a longer paragraph stays whole


def prepare_corpus(sources, train, validation, stats, *, validation_share, seed):
    """Write the documents that the base model is pretrained on.

    Text is brought to Unicode's composed form (NFC) with newlines of one kind. A long text
    file is cut between paragraphs. Empty documents and exact duplicates are left out.

    Args:
        sources: *.txt, *.md and *.jsonl (rows with "text" or "messages"), UTF-8.
        train, validation: JSONL to write, rows with "text" or "messages".
        stats: JSON to write: "documents" that were found, "empty" and "duplicates" among
            them, "train" and "validation" that are left.
        validation_share: share of the documents for validation.
        seed: seed of the split.

    Raises:
        UserError: what is wrong with the files, place by place.
    """
    from specialist.core.text import write_rows

    with Mistakes() as mistakes:
        found = list(_documents(sources, mistakes))
        mistakes.stop()
        kept = [row for row in found if row.get("messages") or row["text"].strip()]
        where = sources[0].parent if sources else "the corpus"
        parts = split(kept, validation_share, seed, mistakes, where)
    for path, rows in zip((train, validation), parts, strict=True):
        write_rows(path, rows)
    counts = {
        "documents": len(found),
        "empty": len(found) - len(kept),
        "duplicates": len(kept) - sum(map(len, parts)),
        "train": len(parts[0]),
        "validation": len(parts[1]),
    }
    stats.write_text(json.dumps(counts, indent=1) + "\n")
    print(f"corpus: {counts}")


def _documents(sources, mistakes):
    for path in sorted(sources):
        if path.suffix == ".jsonl":
            for place, row in read_jsonl(path, mistakes):
                if document := _document(row, mistakes, place):
                    yield document
        elif path.suffix in (".txt", ".md"):
            if (text := read_text(path, mistakes)) is not None:
                text = check_text(text, mistakes, path)
                yield from ({"text": piece} for piece in _pieces(text or ""))
        else:
            mistakes.add(
                path, text="expected *.txt, *.md or *.jsonl; convert the file or remove it"
            )


def _document(row, mistakes, place):
    if "text" in row:
        text = check_text(row["text"], mistakes, place, "text")
        return None if text is None else {"text": text}
    if "messages" in row:
        turns = message_turns(row["messages"], mistakes, place)
        messages = turns and check_messages(turns, mistakes, place)
        return messages and {"messages": messages}
    hints = [hint for key in row if (hint := near(key, ("text", "messages")))]
    found = ", ".join(row) or "no keys"
    mistakes.add(place, text=f"found {found}, expected text or messages{''.join(hints[:1])}")
    return None


def _pieces(text):
    """Parts of a text, cut between paragraphs."""
    piece = ""
    for paragraph in clean(text).split("\n\n"):
        if piece and len(piece) + len(paragraph) > LONGEST:
            yield piece.strip("\n")
            piece = ""
        piece += paragraph + "\n\n"
    yield piece.strip("\n")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(prepare_corpus, snakemake)
