"""Converts one document of a knowledge base to Markdown."""

import json


def convert_document(document, markdown, *, unreadable):
    """Write the text of a document, with its title as front matter.

    Args:
        document: a file with a suffix of `specialist.rag.conversion.DOCUMENTS`.
        markdown: Markdown to write; empty for a document that is skipped.
        unreadable: "refuse" or "skip" a document that cannot be read or holds no text.

    Raises:
        UserError: the document cannot be read or holds no text, and `unreadable` is "refuse".
    """
    from specialist.core.errors import UserError
    from specialist.rag.conversion import convert

    try:
        title, text = convert(document)
    except UserError as error:
        if unreadable != "skip":
            raise UserError(
                f"{error}. Set `unreadable: skip` for the dataset to leave such files out"
            ) from None
        print(f"WARNING: {error}. It is left out")
        title, text = "", ""
    head = f"---\ntitle: {json.dumps(title, ensure_ascii=False)}\n---\n" if title else ""
    markdown.write_text(head + text, encoding="utf-8")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(convert_document, snakemake)
