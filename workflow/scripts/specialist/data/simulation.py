"""Simulates a dataset from a spec that is data only.

Scenarios give the four parts of a dataset folder: corpus, training episodes, knowledge base and
held-out tasks. Each scenario has its own generator, seeded by part and number. A change in one
part therefore does not change the bytes of the others.
"""

import random

from specialist.agent import react
from specialist.agent.environment import SEARCH
from specialist.data import dialogues as conversations
from specialist.data.oracle import draw_kinds, play, world
from specialist.data.scenario import Scenario
from specialist.data.spec import Spec

__all__ = ["Scenario", "Spec", "corpus", "episodes", "knowledge_base", "play", "tasks"]


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


def episodes(spec, count, dialogues, seed):
    """Yield training rows, {"messages": [...]}, each with its own revision of the handbook.

    Args:
        count: episodes of one message.
        dialogues: conversations; each gives a row for each message of the customer.
    """
    for number, name in enumerate(draw_kinds(spec.kinds, count, f"{seed}/episodes")):
        kind = spec.kinds[name]
        scenario = Scenario(spec, "train", (seed, "episode", number), case=kind.get("case"))
        environment = world(spec, scenario, scenario.rows(1), 1)
        steps, _ = play(
            spec, scenario, kind["topic"], environment, kind["topic"], kind.get("note", False)
        )
        message = scenario.message(kind["topic"], kind.get("attack", False))
        yield {"messages": react.messages(message, steps)}
    kinds = spec.conversations["kinds"] if dialogues else {}
    for number, name in enumerate(draw_kinds(kinds, dialogues, f"{seed}/dialogues", "practice")):
        yield from conversations.episodes(spec, name, (seed, "dialogue", number))


def knowledge_base(spec, seed):
    """The handbook with the current figures: {file name: text}."""
    scenario = Scenario(spec, "heldout", (seed, "handbook"), figures=spec.figures)
    return {page: scenario.article(page, scenario.note()) + "\n" for page in spec.articles}


def tasks(spec, count, dialogues, seed):
    """Held-out tasks and the database they start from: (list of tasks, SQL script).

    Args:
        count: tasks of one message.
        dialogues: conversations, which follow them.
    """
    found, rows, taken = [], [], set()
    policy = Scenario(spec, "heldout", (seed, "policy"), spec.figures).policy()
    for number, name in enumerate(draw_kinds(spec.kinds, count, f"{seed}/tasks")):
        kind, customer_id = spec.kinds[name], 2 * number + 1
        key = (seed, "task", number)
        scenario = Scenario(spec, "heldout", key, spec.figures, kind.get("case"), taken)
        names = scenario.names()
        taken.add(names[0])
        statements = scenario.rows(customer_id)
        rows += statements
        environment = world(spec, scenario, statements, customer_id)
        before = environment.dump()
        topic = kind["topic"]
        steps, facts = play(spec, scenario, topic, environment, topic, kind.get("note", False))
        pages = [step["finds"] for step in steps if step.get("finds")]
        task = {
            "id": f"{name}-{number:03d}",
            "kind": name,
            "message": scenario.message(topic, kind.get("attack", False)),
            "session": {"customer_id": customer_id},
            "kb": pages,
            "turns_on_kb": any("figures." in spec.articles[page] for page in pages),
            "expect": {"database": environment.changes(before), "answer": facts},
            "solution": conversations.shown(steps),
            "entities": names,
        }
        found.append(task)
    kinds = spec.conversations["kinds"] if dialogues else {}
    for number, name in enumerate(draw_kinds(kinds, dialogues, f"{seed}/conversations")):
        key, customer_id = (seed, "conversation", number), 2 * (count + number) + 1
        task, statements = conversations.task(spec, name, key, number, customer_id, taken)
        found.append(task)
        rows += statements
    return found, "\n".join([spec.schema, *policy, *rows, ""])
