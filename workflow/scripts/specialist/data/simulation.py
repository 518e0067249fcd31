"""Simulates a dataset from a spec that is data only.

From scenarios come the four parts of a dataset folder: corpus, training episodes, knowledge
base and held-out tasks. Each scenario has a generator of its own, seeded by part and number,
so that a change in one part leaves the bytes of the others as they were.
"""

import random
from itertools import accumulate, pairwise

from specialist.agent import react
from specialist.agent.environment import SEARCH, Environment, open_database
from specialist.data.scenario import Scenario, Spec

__all__ = ["Scenario", "Spec", "corpus", "episodes", "knowledge_base", "play", "tasks"]


def play(spec, scenario, kind, environment):
    """The scripted oracle's way through a scenario.

    Returns:
        (steps, facts): the steps taken, each {"thought", "call", "arguments", "observation",
        "finds"} or {"thought", "answer"}, and the facts that the answer must hold.
    """
    steps, context = [], scenario.context | {"result": {}}
    for step in spec.procedures[kind["topic"]]:
        if "when" in step and not spec.test(step["when"], **context):
            continue
        done = {"thought": spec.render(step["thought"], **context)}
        if "answer" in step:
            facts = [spec.render(fact, **context) for fact in step["facts"]]
            return [*steps, done | {"answer": spec.render(step["answer"], **context)}], facts
        arguments = {key: spec.render(text, **context) for key, text in step["arguments"].items()}
        arguments = react.typed(arguments, environment.signature(step["call"]))
        done |= {"call": step["call"], "arguments": arguments, "finds": step.get("finds")}
        if "finds" in step:
            note = scenario.note() if kind.get("note") else ""
            done["observation"] = react.passage(scenario.article(step["finds"], note))
        else:
            done["observation"], context["result"] = environment.call(step["call"], arguments)
        steps.append(done)
    raise ValueError(f"the procedure of {kind['topic']} ends without an answer")


def corpus(spec, documents, seed):
    """Yield the corpus's documents: {"text": ...} or {"messages": [...]}."""
    kinds = spec.corpus
    shares = [kind["share"] for kind in kinds]
    chooser = random.Random(f"{seed}/corpus")
    common = {"tools": [SEARCH, *spec.tools], "topics": spec.topics, **spec.labels}
    for number in range(documents):
        kind = chooser.choices(kinds, shares)[0]
        case = {name: chooser.choice(values) for name, values in spec.labels["cases"].items()}
        scenario = Scenario(spec, "train", (seed, "corpus", number), case=case)
        context = scenario.context | common | {"topic": scenario.any(spec.topics)}
        if "text" in kind:
            yield {"text": spec.render(kind["text"], **context).strip()}
            continue
        messages = []
        for turn in kind["messages"]:
            content = spec.render(turn["content"], **context)
            # A reply is one of the team's standing phrases, which may be templates themselves.
            messages.append({"role": turn["role"], "content": spec.render(content, **context)})
        yield {"messages": messages}


def _draw_kinds(spec, count, seed):
    """`count` names of kinds, each within one of its exact share, shuffled."""
    shares = [kind["share"] for kind in spec.kinds.values()]
    ends = [round(count * share / sum(shares)) for share in accumulate(shares, initial=0)]
    names = []
    for name, (begin, end) in zip(spec.kinds, pairwise(ends), strict=True):
        names += [name] * (end - begin)
    random.Random(seed).shuffle(names)
    return names


def _world(spec, scenario, statements, customer_id):
    database = open_database(spec.schema + "\n".join([*scenario.policy(), *statements]))
    return Environment(database, spec.tools, {"customer_id": customer_id})


def episodes(spec, count, seed):
    """Yield training episodes, {"messages": [...]}, each with its own revision of the handbook."""
    for number, name in enumerate(_draw_kinds(spec, count, f"{seed}/episodes")):
        kind = spec.kinds[name]
        scenario = Scenario(spec, "train", (seed, "episode", number), case=kind.get("case"))
        steps, _ = play(spec, scenario, kind, _world(spec, scenario, scenario.rows(1), 1))
        message = scenario.message(kind["topic"], kind.get("attack", False))
        yield {"messages": react.messages(message, steps)}


def knowledge_base(spec, seed):
    """The handbook with the figures in force: {file name: text}."""
    scenario = Scenario(spec, "heldout", (seed, "handbook"), figures=spec.figures)
    return {page: scenario.article(page, scenario.note()) + "\n" for page in spec.articles}


def tasks(spec, count, seed):
    """Held-out tasks and the database they start from: (list of tasks, SQL script)."""
    found, rows, taken = [], [], set()
    policy = Scenario(spec, "heldout", (seed, "policy"), spec.figures).policy()
    for number, name in enumerate(_draw_kinds(spec, count, f"{seed}/tasks")):
        kind, customer_id = spec.kinds[name], 2 * number + 1
        key = (seed, "task", number)
        scenario = Scenario(spec, "heldout", key, spec.figures, kind.get("case"), taken)
        names = [scenario.case[field] for field in spec.world["names"]]
        taken.add(names[0])
        statements = scenario.rows(customer_id)
        rows += statements
        environment = _world(spec, scenario, statements, customer_id)
        before = environment.dump()
        steps, facts = play(spec, scenario, kind, environment)
        pages = [step["finds"] for step in steps if step.get("finds")]
        shown = ("thought", "call", "arguments", "answer")
        task = {
            "id": f"{name}-{number:03d}",
            "kind": name,
            "message": scenario.message(kind["topic"], kind.get("attack", False)),
            "session": {"customer_id": customer_id},
            "kb": pages,
            "turns_on_kb": any("figures." in spec.articles[page] for page in pages),
            "expect": {"database": environment.changes(before), "answer": facts},
            "solution": [{key: step[key] for key in shown if key in step} for step in steps],
            "entities": names,
        }
        found.append(task)
    return found, "\n".join([spec.schema, *policy, *rows, ""])
