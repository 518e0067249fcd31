"""Checks what the teacher wrote, and makes training rows and held-out tasks of what passes."""

import json


def synthesize_rows(
    candidates, requests, tools, prompts, chunks, embeddings, settings, encoder, suite,
    sft, tasks, report,
    *, search, top_k, most_tasks, teacher, seed, threads,
):  # fmt: skip
    """Write the rows that pass all checks; see `specialist.synthesis.selection.Selection`.

    Args:
        candidates: JSONL of synthesize_article, one for each article.
        requests: JSONL of synthesize_requests, or an empty list.
        tools: tools.yaml, or an empty list without requests.
        prompts: files of the prompts, styles and replies.
        chunks, embeddings, settings, encoder: of the index; see `measure_retrieval`. What the
            index learns from training rows is left out: they are made here.
        suite: list of JSONL of the dataset's own tasks, perhaps empty.
        sft: JSONL to write: training rows, {"messages"}.
        tasks: JSONL to write: held-out tasks.
        report: JSON to write: "generated" candidates, "generated_by_kind", "rows" and "tasks" that
            passed, "dropped" by reason with examples; and where they come from: "teacher", "seed"
            and "prompts" with the hash of each file.
        search: dict of how the index is searched; see `specialist.rag.ranking.How`.
        top_k: passages that a search brings.
        most_tasks: most held-out tasks.
        teacher: dict of the teacher's settings.
        seed: of the teacher's replies and of the choice among the agent's texts.
        threads: CPU threads for sentence-transformers.

    Raises:
        UserError: no row passed, or no task where some are wanted.
    """
    import yaml

    from specialist.core.files import sha256
    from specialist.core.text import read_rows, write_rows
    from specialist.data.formats import Mistakes
    from specialist.data.suite import read_tasks
    from specialist.rag.index_files import Chunks
    from specialist.synthesis.grounding import small_words
    from specialist.synthesis.resources import read_replies
    from specialist.synthesis.selection import Selection

    with Mistakes() as mistakes:
        own = [task for path in suite for _, task in read_tasks(path, mistakes)]
    files = [*candidates, *([requests] if requests else [])]
    found = [row for path in files for row in read_rows(path)]
    offered = yaml.safe_load(tools.read_text(encoding="utf-8")) if tools else []
    replies, index = read_replies(prompts), (chunks, embeddings, settings, encoder or None)
    ordinary = small_words(record["text"] for record in Chunks(chunks)) | {*replies["openers"]}
    with _searcher(*index, search, top_k, threads) as searcher:
        selection = Selection(found, searcher.search_all, replies, ordinary, seed, offered)
    selection.select(own, most_tasks)
    made = selection.report() | {
        "teacher": teacher,
        "seed": seed,
        "prompts": {path.name: sha256(path) for path in prompts},
    }
    _show(made, most_tasks)
    write_rows(sft, selection.rows)
    write_rows(tasks, selection.tasks)
    report.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _searcher(chunks, embeddings, settings, encoder, search, top_k, threads):
    """The search of the index, without what it learns from training rows."""
    from specialist.rag.index_files import Chunks
    from specialist.rag.retrieval import ExactSearcher
    from specialist.rag.words import Words

    searcher = ExactSearcher(
        chunks, embeddings, settings, encoder, how=search, top_k=top_k, threads=threads
    )
    if search["bm25"]:
        searcher.words = Words.of(Chunks(chunks))
    return searcher


def _show(made, most_tasks):
    """Print the counts.

    Raises:
        UserError: see `synthesize_rows`.
    """
    from specialist.core.errors import UserError

    reasons = ", ".join(f"{told['n']} {reason}" for reason, told in made["dropped"].items())
    counts = f"{made['generated']} candidates, dropped: {reasons or 'none'}"
    print(f"{made['rows']} training rows and {made['tasks']} tasks of {counts}")
    wanted = ["rows", "tasks"] if most_tasks else ["rows"]
    if lacking := next((part for part in wanted if not made[part]), None):
        examples = [
            f"{reason}: {json.dumps(told['examples'][0], ensure_ascii=False)}"
            for reason, told in made["dropped"].items()
        ]
        raise UserError(
            f"synthesize: no {lacking} passed the checks ({counts}). Use a better teacher, or edit "
            "the prompts:\n  " + "\n  ".join(examples)
        )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(synthesize_rows, snakemake)
