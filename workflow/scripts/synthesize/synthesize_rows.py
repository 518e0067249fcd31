"""Checks what the teacher wrote, and makes training rows and held-out tasks of what passes."""

import json


def synthesize_rows(
    candidates, tools, database, prompts, chunks, embeddings, settings, encoder, suite,
    sft, tasks, report,
    *, search, top_k, most_tasks, most_conversations, limits, articles, teacher, judge, seed,
    threads,
):  # fmt: skip
    """Write the rows that pass all checks; see `specialist.synthesis.selection.Selection`.

    Args:
        candidates: JSONL of synthesize_article, one for each article, and of synthesize_requests;
            or of judge_candidates.
        tools: tools.yaml, or an empty list without requests.
        database: SQL script of the database, or an empty list.
        prompts: files of the prompts, styles and replies.
        chunks, embeddings, settings, encoder: of the index; see `measure_retrieval`. What the
            index learns from training rows is left out: they are made here.
        suite: list of JSONL of the dataset's own tasks, perhaps empty.
        sft: JSONL to write: training rows, {"messages"}.
        tasks: JSONL to write: held-out tasks and conversations.
        report: JSON to write: "generated" candidates, "generated_by_kind", "rows", "tasks" and
            "conversations" that passed, "judged" by verdict, "dropped" by reason with examples;
            and where they come from: "teacher", "judge", "seed" and "prompts" with the hash of
            each file.
        search: dict of how the index is searched; see `specialist.rag.ranking.How`.
        top_k: passages that a search brings.
        most_tasks, most_conversations: most held-out tasks with one message, and conversations.
        limits: of the agent; see `specialist.synthesis.preparation.Preparation`.
        articles: names of the knowledge base's files.
        teacher: dict of the teacher's settings.
        judge: dict of the judge's settings, or None.
        seed: of the teacher's replies and of the choice among the agent's texts.
        threads: CPU threads for sentence-transformers.

    Raises:
        UserError: no row passed, or no task where some are wanted.
    """
    from specialist.core.files import sha256
    from specialist.core.text import read_rows, write_rows
    from specialist.data.formats import Mistakes
    from specialist.data.suite import read_tasks
    from specialist.data.tool_yaml import read_yaml
    from specialist.rag.index_files import Chunks
    from specialist.synthesis.calls import session_names
    from specialist.synthesis.grounding import small_words
    from specialist.synthesis.preparation import Preparation
    from specialist.synthesis.resources import read_replies
    from specialist.synthesis.selection import Selection

    with Mistakes() as mistakes:
        own = [task for path in suite for _, task in read_tasks(path, mistakes)]
        entries, _ = read_yaml(tools, mistakes) if tools else ([], None)
    found = [row for path in candidates for row in read_rows(path)]
    session = session_names(entries).union(*(task["session"] for task in own))
    prepared = Preparation(tools, database, session, articles, limits)
    replies = read_replies(prompts, most_conversations > 0)
    ordinary = small_words(record["text"] for record in Chunks(chunks)) | {*replies["openers"]}
    index = chunks, embeddings, settings, encoder or None
    with _searcher(*index, search, top_k, threads) as searcher:
        selection = Selection(
            found, searcher.search_all, replies, ordinary, seed, entries, prepared.mistake
        )
    selection.select(own, most_tasks, most_conversations)
    origin = {"teacher": teacher, "seed": seed} | ({"judge": judge} if judge else {})
    origin["prompts"] = {path.name: sha256(path) for path in prompts}
    made = selection.report() | origin
    _show(made, most_tasks, most_conversations)
    write_rows(sft, selection.rows)
    write_rows(tasks, [*selection.tasks, *selection.conversations])
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


def _show(made, most_tasks, most_conversations):
    """Print the counts.

    Raises:
        UserError: see `synthesize_rows`.
    """
    from specialist.core.errors import UserError

    reasons = ", ".join(f"{told['n']} {reason}" for reason, told in made["dropped"].items())
    counts = f"{made['generated']} candidates, dropped: {reasons or 'none'}"
    print(
        f"{made['rows']} training rows, {made['tasks']} tasks and {made['conversations']} "
        f"conversations of {counts}"
    )
    wanted = {"rows": 1, "tasks": most_tasks, "conversations": most_conversations}
    if lacking := next((part for part in wanted if wanted[part] and not made[part]), None):
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
