"""Runs every task with one system: a model or a policy, with or without a knowledge base."""

import contextlib


def run_agent(
    tasks,
    tools,
    database,
    gguf,
    store,
    settings,
    encoder,
    shift,
    words,
    reranker,
    prompt,
    traces,
    times,
    *,
    policy,
    max_steps,
    context,
    max_new_tokens,
    top_k,
    search,
    seed,
    threads,
):
    """Write one trace for each task, in their order; see `specialist.agent.loop.Trace`.

    Args:
        tasks: JSONL of tasks: "id", "kind", "message", perhaps "session" (what the tools'
            SQL may use by name) and "solution" (steps of the scripted policy).
        tools: tools.yaml, or an empty list.
        database: SQL script of the database, or an empty list.
        gguf: the model, or an empty list for a policy without one.
        store, settings: zip of build_chroma and JSON of embed_chunks; or empty lists:
            there is no search then, in the prompt, the grammar and the environment.
        encoder: GGUF of convert_encoder that embeds queries, or an empty list to embed
            them by sentence-transformers.
        shift: .npy of learn_queries, or an empty list.
        words: zip of build_bm25, or an empty list.
        reranker: files of the reranker in a folder that `search` names, so that a change of
            theirs counts.
        prompt: Jinja template of the system message.
        traces: JSONL to write, the same in each run with the same number of threads.
        times: JSONL to write: what each task took, which is not.
        policy: "model", "scripted" or "random".
        max_steps: most turns in a task.
        context: most tokens in a task.
        max_new_tokens: most tokens in a turn.
        top_k: passages that a search brings.
        search: dict of how the index is searched; see `specialist.rag.ranking.How`.
        seed: of the random policy.
        threads: CPU threads.
    """
    import yaml

    from specialist.agent.environment import SEARCH, dump, open_database
    from specialist.agent.loop import Agent
    from specialist.core.progress import Progress
    from specialist.core.prompt import system_message
    from specialist.core.text import read_rows

    todo = list(read_rows(tasks))
    offered = yaml.safe_load(tools.read_text(encoding="utf-8")) if tools else []
    original = open_database(database.read_text(encoding="utf-8") if database else "")
    before, find = dump(original), None
    with contextlib.ExitStack() as opened:
        if store:
            from specialist.rag.retrieval import Searcher

            searcher = Searcher(
                store, settings, encoder or None, shift or None, words or None, how=search,
                top_k=top_k, threads=threads,
            )  # fmt: skip
            find, offered = opened.enter_context(searcher).search, [SEARCH, *offered]
        system = system_message(prompt, offered)
        chosen = _policy(
            policy, gguf, offered, system, context, max_new_tokens, seed, threads, opened
        )
        agent = Agent(chosen, system, offered, max_steps, find)
        files = [opened.enter_context(path.open("w", encoding="utf-8")) for path in (traces, times)]
        progress = Progress("agent", len(todo))
        for number, task in enumerate(todo, 1):
            with contextlib.closing(original.copy()) as copy:
                lines = agent.run(task, copy, before).lines()
            for file, line in zip(files, lines, strict=True):
                file.write(line + "\n")
            progress(number)


def _policy(name, gguf, tools, system, context, max_new_tokens, seed, threads, opened):
    from specialist.agent import policies

    if name == "scripted":
        return policies.Scripted()
    if name == "random":
        return policies.Random(tools, seed)
    from specialist.gguf.runtime import Runtime

    runtime = opened.enter_context(Runtime(gguf, context, threads))
    return policies.Model.with_tools(runtime, system, tools, max_new_tokens)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(run_agent, snakemake)
