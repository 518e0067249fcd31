"""Runs every task with a model that another program serves, by OpenAI's text completions."""

import contextlib
import json


def run_served(
    tasks, tools, database, store, settings, encoder, shift, words, reranker,
    tokenizer, tokenizer_config, chat_template, prompt, traces, times, served,
    *, engine, identity, rules, trials, sample, max_steps, max_messages, customer, parallel,
    context, max_new_tokens, top_k, search, threads, checkpoints,
):  # fmt: skip
    """Write one trace for each run of a task, as `run_agent` does it.

    Finished runs are kept as they end: a stopped step continues with the others.

    Args:
        tasks, tools, database, store, settings, encoder, shift, words, reranker, prompt: see
            `run_agent`.
        tokenizer, tokenizer_config, chat_template: files of the base's tokenizer, in one folder.
        traces, times: JSONL to write; see `specialist.agent.record.Trace.lines`.
        served: JSON to write: url, model, identity, and how the address takes prompts (`prompt`)
            and grammars (`grammar`).
        engine: {"url", "model", "key"}; see `specialist.core.engines.Engine`.
        identity: what the address told about the model when the step was planned, or None.
        parallel: requests at the same time.
        rules, trials, sample, max_steps, max_messages, customer, context, max_new_tokens, top_k,
            search: see `run_agent`.
        threads: CPU threads of the search.
        checkpoints: `specialist.engine.checkpoints.Checkpoints`.

    Raises:
        UserError: the address does not answer, serves another model or other tokens, or does not
            answer with completions.
    """
    from specialist.agent.loop import Agent
    from specialist.agent.runs import Kept
    from specialist.agent.served import Served, side_by_side
    from specialist.agent.world import World, customers, runs
    from specialist.bases.prompts import PromptTokens
    from specialist.core.engines import Engine
    from specialist.core.progress import Progress

    model = Engine(f"systems.{traces.parent.name}.engine", **engine)
    _check(model, identity)
    todo, index = runs(tasks, trials, sample), (store, settings, encoder, shift, words)
    with contextlib.ExitStack() as opened:
        how = {"how": search, "top_k": top_k, "threads": threads}
        world = opened.enter_context(World(tools, database, prompt, index, how))
        tokens = PromptTokens(tokenizer.parent)
        policy = Served(
            model, tokens, world.system, world.offered, context, max_new_tokens, quote=rules
        )
        print(f"{model.url}: prompts as {model.prompt}, grammars by {model.grammar}")
        agent = Agent(
            policy, world.system, world.offered, max_steps, world.search, rules=rules,
            max_messages=max_messages, customer=customers(customer),
        )  # fmt: skip
        kept = opened.enter_context(Kept(checkpoints.folder / "runs.jsonl"))
        left = [job for job in todo if not kept.has(*job)]
        print(f"{len(todo) - len(left)} of {len(todo)} runs are from a step that was stopped")
        progress = Progress("agent", len(left))
        found = side_by_side((world.episode(agent, *job) for job in left), policy.turn, parallel)
        for done, (number, run) in enumerate(found, 1):
            kept.add(*left[number], run.lines())
            progress(done)
        _check(model, identity)
        kept.write(todo, traces, times)
    facts = {"url": model.url, "model": model.model, "identity": identity}
    facts |= {"prompt": model.prompt, "grammar": model.grammar}
    served.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _check(model, identity):
    """Refuse another model than the one for which the step was planned."""
    from specialist.core.engines import TRIES
    from specialist.core.errors import UserError

    if (now := model.identity(TRIES)) != identity:
        was = json.dumps(identity) if identity else "no answer"
        raise UserError(
            f"{model.place}: {model.url}: found {json.dumps(now)}, but {was} when this step was "
            "planned; give the same command again"
        )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(run_served, snakemake)
