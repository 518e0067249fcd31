"""Cuts the articles of a knowledge base into chunks that fit the embedding model."""

import json
from pathlib import Path

from specialist.core.errors import UserError


def chunk_kb(
    articles, weights, chunks, *, sources, model, max_words, max_tokens, overlap_words,
    min_words=0, intro_words=0, filter=None,
):  # fmt: skip
    """Write one record for each chunk, in the order of the articles' sources.

    See `specialist.rag.chunks.Cutter` for where an article is cut, and
    `specialist.rag.documents` for what front matter is.

    Args:
        articles: *.md and *.txt files, UTF-8, and Markdown of convert_document.
        weights: files of the model in a folder that `model` names, so that a change of theirs
            counts; an empty list for a model that is named by its version.
        chunks: JSONL to write: "id" ("faq/refunds.md#0"), "source" (the article's path below
            the knowledge base), "title" (the headings above the chunk, or the article's name),
            "text", "intro" (the first words of a longer article, to be searched with the chunks
            that do not hold them), and "metadata" where the front matter has keys besides the
            title.
        sources: the paths of the articles below the folder of the knowledge base.
        model: embedding model; see `specialist.rag.embedding.locate_model`.
        max_words: most words in a text.
        max_tokens: most tokens that are embedded of a chunk, title included; 0 for as many
            as the model reads.
        overlap_words: words that a chunk repeats from the one before it in a long section.
        min_words, intro_words: see `specialist.rag.chunks.Cutter`.
        filter: {key of the front matter: text, or list of texts}; only articles that have one of
            them under each key are cut.

    Raises:
        UserError: an article is empty or not UTF-8, or there is none, or none passes the filter;
            or the model reads less than `max_tokens`.
    """
    from specialist.rag.chunks import Cutter
    from specialist.rag.documents import chunk_records, read_article
    from specialist.rag.tokens import TokenCounter

    if not articles:
        raise UserError(f"{chunks}: the knowledge base has no articles; add files to it")
    counter = TokenCounter(model)
    if max_tokens > counter.most:
        raise UserError(
            f"max_tokens: found {max_tokens}, but {model} reads {counter.most} tokens of a text; "
            f"set at most {counter.most}, or 0 for as many as the model reads"
        )
    cutter = Cutter(
        counter, max_words, max_tokens or counter.most, overlap_words, min_words, intro_words
    )
    taken = 0
    with open(chunks, "w", encoding="utf-8") as file:
        for source, path in sorted(zip(sources, articles, strict=True)):
            if Path(path).suffix != Path(source).suffix and not Path(path).stat().st_size:
                continue  # a document that convert_document left out
            article = read_article(path, source)
            if not article.matches(filter or {}):
                continue
            taken += 1
            for record in chunk_records(article, cutter):
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
    if not taken:
        if not filter:
            raise UserError(f"{chunks}: no document of the knowledge base holds a text; add some")
        raise UserError(
            f"filter: found {json.dumps(filter, ensure_ascii=False)}, but no article has this "
            "front matter; correct the filter, or the front matter of the articles"
        )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(chunk_kb, snakemake)
