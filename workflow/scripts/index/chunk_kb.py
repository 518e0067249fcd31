"""Cuts the articles of a knowledge base into chunks of a bounded number of words."""

import json
import re
from pathlib import Path

from specialist.core.errors import UserError


def chunk_kb(articles, chunks, *, max_words, overlap_words):
    """Write one record for each chunk, in the order of the articles' names.

    An article that fits is one chunk. A longer Markdown article is cut at its headings,
    and a section that is still too long between paragraphs, else between sentences, else
    between words.

    Args:
        articles: *.md and *.txt files, UTF-8, with distinct names.
        chunks: JSONL to write: "id" ("refunds.md#0"), "source" (the article's file name),
            "title" (the headings above the chunk, or the file's name) and "text".
        max_words: most words in a text.
        overlap_words: words that a chunk repeats from the one before it in a long section.

    Raises:
        UserError: an article is empty or not UTF-8, two have the same name, or there is none.
    """
    if not articles:
        raise UserError(f"{chunks}: the knowledge base has no articles; add *.md or *.txt files")
    named = {}
    for path in map(Path, articles):
        if other := named.get(path.name):
            raise UserError(f"{path}: {other} has the same name; rename one of the articles")
        named[path.name] = path
    with open(chunks, "w", encoding="utf-8") as file:
        for source, path in sorted(named.items()):
            pieces = [
                (title, piece)
                for title, text in _sections(path, max_words)
                for piece in _windows(text, max_words, overlap_words)
            ]
            for number, (title, text) in enumerate(pieces):
                record = {"id": f"{source}#{number}", "source": source, "title": title}
                file.write(json.dumps({**record, "text": text}, ensure_ascii=False) + "\n")


def _sections(path, max_words):
    """Pairs of title and text of an article, cut at headings no further than needed."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; save the "
            "article in the encoding UTF-8"
        ) from error
    if not text.strip():
        raise UserError(f"{path}: the article is empty; write it or remove the file")
    lines, headings = text.splitlines(), []
    if path.suffix == ".md":
        from markdown_it import MarkdownIt

        # Markdown knows other line ends than str.splitlines: give it those lines.
        tokens = MarkdownIt().parse("\n".join(lines))
        headings = [
            (*opening.map, int(opening.tag[1]), inline.content)
            for opening, inline in zip(tokens, tokens[1:], strict=False)
            if opening.type == "heading_open" and opening.level == 0
        ]
    found = list(_cut(lines, 0, len(lines), headings, (), max_words))
    if not found:  # nothing but headings
        found = [((), text.strip())]
    name = path.stem.replace("-", " ").replace("_", " ")
    return [(" > ".join(trail) or name, body) for trail, body in found]


def _cut(lines, start, stop, headings, trail, max_words):
    """Yield (headings above, text) for the lines from start to stop."""
    inside = [heading for heading in headings if start <= heading[0] < stop]
    if inside and not "".join(lines[start : inside[0][0]]).strip():
        # A heading at the very top is the title of all that follows, if none is its equal.
        first, *rest = inside
        if all(level > first[2] for _, _, level, _ in rest):
            start, trail, inside = first[1], (*trail, first[3]), rest
    body = "\n".join(lines[start:stop]).strip()
    if not inside or len(body.split()) <= max_words:
        if body:
            yield trail, body
        return
    top = min(level for _, _, level, _ in inside)
    cuts = [start, *(heading[0] for heading in inside if heading[2] == top), stop]
    for begin, end in zip(cuts, cuts[1:], strict=False):
        yield from _cut(lines, begin, end, inside, trail, max_words)


def _windows(text, max_words, overlap_words):
    """Yield parts of a text with at most max_words words."""
    words, start = list(re.finditer(r"\S+", text)), 0

    def strength(i):
        gap = text[words[i - 1].end() : words[i].start()]
        paragraph, sentence = gap.count("\n") > 1, text[words[i - 1].end() - 1] in ".!?"
        return 2 * paragraph + sentence, i

    while True:
        stop = min(start + max_words, len(words))
        if stop < len(words):
            stop = max(range(start + overlap_words + 1, stop + 1), key=strength)
        yield text[words[start].start() : words[stop - 1].end()]
        if stop == len(words):
            return
        start = stop - overlap_words


if "snakemake" in globals():
    from specialist.engine.step import run

    run(chunk_kb, snakemake)
