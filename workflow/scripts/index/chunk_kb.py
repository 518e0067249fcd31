"""Cuts the articles of a knowledge base into chunks that fit the embedding model."""

import json

from specialist.core.errors import UserError


def chunk_kb(
    articles, weights, chunks, *, sources, model, max_words, max_tokens, overlap_words
):  # fmt: skip
    """Write one record for each chunk, in the order of the articles' sources.

    See `specialist.rag.chunks.Cutter` for where an article is cut, and
    `specialist.rag.documents` for what front matter is.

    Args:
        articles: *.md and *.txt files, UTF-8.
        weights: files of the model in a folder that `model` names, so that a change of theirs
            counts; an empty list for a model that is named by its version.
        chunks: JSONL to write: "id" ("faq/refunds.md#0"), "source" (the article's path below
            the knowledge base), "title" (the headings above the chunk, or the article's name),
            "text", and "metadata" where the front matter has keys besides the title.
        sources: the paths of the articles below the folder of the knowledge base.
        model: embedding model; see `specialist.rag.embedding.locate_model`.
        max_words: most words in a text.
        max_tokens: most tokens that are embedded of a chunk, title included; 0 for as many
            as the model reads.
        overlap_words: words that a chunk repeats from the one before it in a long section.

    Raises:
        UserError: an article is empty or not UTF-8, or there is none; or the model reads less
            than `max_tokens`.
    """
    from specialist.rag.chunks import Cutter
    from specialist.rag.documents import read_article
    from specialist.rag.tokens import TokenCounter

    if not articles:
        raise UserError(f"{chunks}: the knowledge base has no articles; add *.md or *.txt files")
    counter = TokenCounter(model)
    if max_tokens > counter.most:
        raise UserError(
            f"max_tokens: found {max_tokens}, but {model} reads {counter.most} tokens of a text; "
            f"set at most {counter.most}, or 0 for as many as the model reads"
        )
    cutter = Cutter(counter, max_words, max_tokens or counter.most, overlap_words)
    with open(chunks, "w", encoding="utf-8") as file:
        for source, path in sorted(zip(sources, articles, strict=True)):
            article = read_article(path, source)
            kept = {"metadata": article.metadata} if article.metadata else {}
            for number, (title, text) in enumerate(cutter.chunks(article)):
                record = {"id": f"{source}#{number}", "source": source, "title": title}
                record |= {"text": text, **kept}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(chunk_kb, snakemake)
