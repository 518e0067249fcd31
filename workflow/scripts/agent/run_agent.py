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
    rules,
    trials,
    sample,
    max_steps,
    max_messages,
    customer,
    parallel,
    context,
    max_new_tokens,
    top_k,
    search,
    seed,
    threads,
):
    """Write one trace for each run of a task; see `specialist.agent.record.Trace`.

    All tasks run first, in their order. Then the conversations run again, once for each
    further trial.

    Args:
        tasks: JSONL of tasks, every key filled in; see workflow/schemas/task.schema.yaml.
        tools: tools.yaml, or an empty list.
        database: SQL script of the database, or an empty list.
        gguf: the model, or an empty list for a policy without one.
        store, settings: zip of build_chroma, or a list of zips of build_shard, and JSON of
            embed_chunks or join_shards; or empty lists: there is no search then, in the prompt,
            the grammar and the environment.
        encoder: GGUF of convert_encoder that embeds queries, or an empty list to embed
            them by sentence-transformers.
        shift: .npy of learn_queries, or an empty list.
        words: zip of build_bm25, or an empty list.
        reranker: files of the reranker, if `search` names a folder, so that a change in them
            counts.
        prompt: Jinja template of the system message.
        traces: JSONL to write, the same in each run with the same number of threads.
        times: JSONL to write: the times of each task, which differ from run to run.
        policy: "model", "scripted", "random" or "repeat".
        rules: whether the tools' rules hold; see `specialist.agent.rules`.
        trials: runs of each conversation.
        sample: number of tasks, spread evenly over all of them, or None for all.
        max_steps: most turns in an exchange.
        max_messages: most messages of the customer in a conversation.
        customer: {"url", "model"} of a language model that plays the customers of conversations
            (not for the scripted policies), or None; see `specialist.agent.played`.
        parallel: conversations that a model handles in one batch; traces may differ between values
            by rounding.
        context: most tokens of a prompt and its turn.
        max_new_tokens: most tokens in a turn.
        top_k: passages that a search returns.
        search: dict of how the index is searched; see `specialist.rag.ranking.How`.
        seed: of the random policy.
        threads: CPU threads.
    """
    from specialist.agent.loop import Agent, drive
    from specialist.agent.together import together
    from specialist.agent.world import World, customers, runs
    from specialist.core.progress import Progress

    todo, index = runs(tasks, trials, sample), (store, settings, encoder, shift, words)
    how = {"how": search, "top_k": top_k, "threads": threads}
    with contextlib.ExitStack() as opened:
        world = opened.enter_context(World(tools, database, prompt, index, how))
        chosen = _policy(
            policy, gguf, world.offered, world.system, context, max_new_tokens, seed, threads,
            parallel, rules, opened,
        )  # fmt: skip
        agent = Agent(
            chosen, world.system, world.offered, max_steps, world.search, rules=rules,
            max_messages=max_messages,
            customer=customers(customer if policy in ("model", "random") else None),
        )  # fmt: skip

        def one_by_one():
            for task, trial in todo:
                chosen.begin(task, trial)
                yield drive(world.episode(agent, task, trial), chosen.turn)

        episodes = (world.episode(agent, *job) for job in todo)
        batched = gguf and parallel > 1
        found = together(episodes, chosen, parallel) if batched else one_by_one()
        files = [opened.enter_context(path.open("w", encoding="utf-8")) for path in (traces, times)]
        progress = Progress("agent", len(todo))
        for number, run in enumerate(found, 1):
            for file, line in zip(files, run.lines(), strict=True):
                file.write(line + "\n")
            progress(number)


def _policy(
    name, gguf, tools, system, context, max_new_tokens, seed, threads, parallel, rules, opened
):  # fmt: skip
    from specialist.agent import policies

    if name == "scripted":
        return policies.Scripted()
    if name == "repeat":
        return policies.Repeat()
    if name == "random":
        return policies.Random(tools, seed)
    from specialist.gguf.runtime import Runtime

    sequences = parallel + 1 if parallel > 1 else 1
    runtime = opened.enter_context(Runtime(gguf, context, threads, sequences=sequences))
    return policies.Model.with_tools(runtime, system, tools, max_new_tokens, quote=rules)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(run_agent, snakemake)
