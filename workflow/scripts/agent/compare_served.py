"""Compares a served model with the same model in llama.cpp here, on some tasks."""

import contextlib
import json

TASKS = 20
LIMIT = 0.1  # share of different actions; rounding alone changes few


def compare_served(
    tasks, tools, database, gguf, store, settings, encoder, shift, words, reranker, prompt,
    traces, gate,
    *, rules, max_steps, max_messages, context, max_new_tokens, top_k, search, threads,
):  # fmt: skip
    """Write the share of the agent's actions that differ.

    A difference changes all actions after it, so most of those of its task differ too. Customers
    write what they wrote to the served model.

    Args:
        tasks, tools, database, store, settings, encoder, shift, words, reranker, prompt: see
            `run_agent`.
        gguf: the model that is served, as a file of this run.
        traces: JSONL of run_served.
        gate: JSON to write: {"different_actions": {"value", "limit", "passed"}}. If the gate
            fails, the run goes on, and the summary names it.
        rules, max_steps, max_messages, context, max_new_tokens, top_k, search, threads: see
            `run_agent`.
    """
    from specialist.agent.loop import Agent, drive
    from specialist.agent.policies import Model
    from specialist.agent.record import spread
    from specialist.agent.served import Replayed, different_actions
    from specialist.agent.world import World, runs
    from specialist.core.text import read_rows
    from specialist.gguf.runtime import Runtime

    served = {row["id"]: row for row in read_rows(traces) if row.get("trial", 0) == 0}
    chosen = spread([run for run in runs(tasks, 1) if run[0]["id"] in served], TASKS)
    with contextlib.ExitStack() as opened:
        how = {"how": search, "top_k": top_k, "threads": threads}
        index = (store, settings, encoder, shift, words)
        world = opened.enter_context(World(tools, database, prompt, index, how))
        runtime = opened.enter_context(Runtime(gguf, context, threads))
        model = Model.with_tools(runtime, world.system, world.offered, max_new_tokens, quote=rules)
        agent = Agent(
            model, world.system, world.offered, max_steps, world.search, rules=rules,
            max_messages=max_messages, customer=lambda task, _: Replayed(served[task["id"]]),
        )  # fmt: skip
        different = count = 0
        for task, trial in chosen:
            model.begin(task, trial)
            here = drive(world.episode(agent, task, trial), model.turn)
            own, of = different_actions(here.messages, served[task["id"]]["messages"])
            different, count = different + own, count + of
            if own:
                print(f"{task['id']}: {own} of {of} actions differ from those of {gguf}")
    share = different / max(1, count)
    print(f"{len(chosen)} tasks: {count - different} of {count} actions are equal")
    found = {"value": share, "limit": LIMIT, "passed": share <= LIMIT}
    gate.write_text(json.dumps({"different_actions": found}, indent=1) + "\n")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(compare_served, snakemake)
