"""Asks the teacher for questions on one article, and for their answers."""

from pathlib import Path


def synthesize_article(
    article, weights, prompts, gguf, candidates,
    *, source, model, chunking, teacher, questions, unanswerable, held_out, seed, threads,
    checkpoints,
):  # fmt: skip
    """Write the candidates of an article; see `specialist.synthesis.questions.candidates`.

    The replies are kept as they arrive: a stopped run continues with the request where it stopped.

    Args:
        article: *.md or *.txt, or Markdown of convert_document.
        weights: files of the embedding model in a folder that `model` names, or an empty list.
        prompts: files of the prompts and styles.
        gguf: a local teacher, or an empty list.
        candidates: JSONL to write; empty for an article that is not in the index.
        source: path of the article below the knowledge base.
        model: embedding model of the index, whose tokens limit a chunk.
        chunking: dict of the index's `specialist.config.settings.systems.Chunking`.
        teacher: dict of `specialist.config.settings.synthesis.Teacher`.
        questions, unanswerable, held_out: see `specialist.synthesis.questions.candidates`.
        seed: of the teacher's replies.
        threads: CPU threads of a local teacher.
        checkpoints: `specialist.engine.checkpoints.Checkpoints`.

    Raises:
        UserError: the teacher cannot be reached, or the article or the prompts cannot be read.
    """
    from specialist.core.text import write_rows
    from specialist.synthesis.journal import Journal
    from specialist.synthesis.questions import candidates as write
    from specialist.synthesis.resources import Prompts
    from specialist.synthesis.teacher import open_teacher

    chunks, asking = _chunks(article, source, model, **chunking), Prompts(prompts)
    with (
        open_teacher(teacher, gguf, threads) as opened,
        Journal(checkpoints.folder / "replies.jsonl", opened, seed) as journal,
    ):
        found = write(
            chunks, asking, journal.ask, questions=questions, unanswerable=unanswerable,
            held_out=held_out, parallel=opened.parallel,
        )  # fmt: skip
    write_rows(candidates, found)
    dropped = sum("dropped" in row for row in found)
    print(
        f"{source}: {len(chunks)} chunks, {len(found)} candidates, {dropped} of them came to "
        f"nothing; {journal.asked} requests, {journal.known} replies of a run that was stopped"
    )


def _chunks(
    article, source, model, max_words, max_tokens, overlap_words, min_words, intro_words, filter
):
    """The records of an article's chunks as chunk_kb writes them; none outside of the index."""
    from specialist.rag.chunks import Cutter
    from specialist.rag.documents import chunk_records, read_article
    from specialist.rag.tokens import TokenCounter

    if Path(article).suffix != Path(source).suffix and not Path(article).stat().st_size:
        return []  # a document that convert_document left out
    read = read_article(article, source)
    if not read.matches(filter):
        return []
    counter = TokenCounter(model)
    limit = max_tokens or counter.most
    cutter = Cutter(counter, max_words, limit, overlap_words, min_words, intro_words)
    return [*chunk_records(read, cutter)]


if "snakemake" in globals():
    from specialist.engine.step import run

    run(synthesize_article, snakemake)
