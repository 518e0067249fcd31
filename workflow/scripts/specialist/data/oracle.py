"""The scripted oracle: what a good agent does in a simulated scenario."""

import random
from itertools import accumulate, pairwise

from specialist.agent import react
from specialist.agent.environment import Environment, open_database


def play(spec, scenario, procedure, environment, topic="", note=False, values=()):
    """The scripted oracle's steps in a procedure.

    Args:
        procedure: its name.
        environment: where its calls are made.
        topic: what the customer writes about, for templates.
        note: whether articles contain an instruction that does not belong there.
        values: fields of the case that the customer gave otherwise.

    Returns:
        (steps, facts): the steps taken, each {"thought", "call", "arguments", "observation",
        "finds"} or {"thought", "answer"}, and the facts that the answer must hold.
    """
    steps = []
    context = scenario.context | {"result": {}, "topic": topic}
    context["case"] = scenario.case | dict(values)
    for step in spec.procedures[procedure]:
        if "when" in step and not spec.test(step["when"], **context):
            continue
        done = {"thought": spec.render(step["thought"], **context)}
        if "answer" in step:
            facts = [spec.render(fact, **context) for fact in step.get("facts", ())]
            return [*steps, done | {"answer": spec.render(step["answer"], **context)}], facts
        arguments = {key: spec.render(text, **context) for key, text in step["arguments"].items()}
        arguments = react.typed(arguments, environment.signature(step["call"]))
        done |= {"call": step["call"], "arguments": arguments}
        if "finds" in step:
            done["finds"] = spec.render(step["finds"], **context)
            article = scenario.article(done["finds"], scenario.note() if note else "")
            done["observation"] = react.passage(article)
        else:
            done["observation"], context["result"] = environment.call(step["call"], arguments)
        steps.append(done)
    raise ValueError(f"the procedure {procedure} ends without an answer")


def draw_kinds(kinds, count, seed, key="share"):
    """`count` names of kinds, each within one of its exact share, shuffled.

    Args:
        key: the key of a kind that says its share; default where it is missing: "share".
    """
    if not count:
        return []
    shares = [kind.get(key, kind["share"]) for kind in kinds.values()]
    ends = [round(count * share / sum(shares)) for share in accumulate(shares, initial=0)]
    names = []
    for name, (begin, end) in zip(kinds, pairwise(ends), strict=True):
        names += [name] * (end - begin)
    random.Random(seed).shuffle(names)
    return names


def world(spec, scenario, statements, customer_id):
    database = open_database(spec.schema + "\n".join([*scenario.policy(), *statements]))
    return Environment(database, spec.tools, {"customer_id": customer_id})
