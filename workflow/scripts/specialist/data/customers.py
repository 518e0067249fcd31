"""Checks of a task's customer: what the customer says and hears, and that the customer stops."""

import json

from specialist.agent.customer import PATIENCE, requests
from specialist.core.patterns import found, problem
from specialist.data.formats import check_text


def sayings(task):
    """Yield (path in the task, text) of everything that the customer may say."""
    if "message" in task:
        yield ("message",), task["message"]
    for number, request in enumerate(task.get("requests", ())):
        yield from _wordings(request["says"], "requests", number, "says")
        for path, rule in rules_of(request, "requests", number):
            yield from _wordings(rule["says"], *path, "says")
    for path, rule in rules_of(task.get("customer", {}), "customer"):
        yield from _wordings(rule["says"], *path, "says")


def check_texts(task, mistakes, place):
    """Clean what the customer says, in place; note text that a tokenizer cannot encode."""
    for path, text in [*sayings(task)]:
        *above, last = path
        part = task
        for key in above:
            part = part[key]
        part[last] = check_text(text, mistakes, place, *path)
    said = ("message", "says", "replies", "requests", "customer")
    for part in (task, *task.get("requests", ())):
        others = {key: value for key, value in part.items() if key not in said}
        check_text(json.dumps(others, ensure_ascii=False), mistakes, place)


def trials(task):
    """The largest number of wordings of a task; this many trials use each of them."""
    says = [request["says"] for request in requests(task)]
    says += [rule["says"] for _, rule in rules(task)]
    return max(1 if isinstance(each, str) else len(each) for each in says)


def check_customer(task, limit, mistakes, place):
    """Note rules that are never used, a yes to no change, and a customer who writes too much.

    Args:
        task: a conversation that fits its schema, with its defaults.
        limit: most messages of the customer in a conversation.
    """
    for path, rule in rules(task):
        if text := problem(rule["hears"]):
            mistakes.add(place, *path, "hears", text=text)
        elif found(rule["hears"], ""):
            text = f"found {rule['hears']!r}, which matches every reply, even an empty one; write "
            mistakes.add(
                place, *path, "hears", text=f"{text}words of the reply, or . for any reply"
            )
        if path[0] == "customer" and rule.get("confirms"):
            text = "found a yes in the rules of all requests, expected it in the request that it "
            mistakes.add(place, *path, "confirms", text=f"{text}confirms; move the rule there")
    for number, request in enumerate(task["requests"]):
        unsolved = "solution" not in request and not request["expect"]["database"]
        for path, rule in rules_of(request, "requests", number):
            if rule.get("confirms") and unsolved:
                text = "found a yes in a request that changes nothing in `expect.database`; add "
                text += "the rows that it allows, or remove `confirms`"
                mistakes.add(place, *path, "confirms", text=text)
    most = _most_messages(task)
    if most > limit:
        text = f"the customer may write {most} messages, but agent.max_messages allows {limit}; "
        text += "lower `customer.patience` or `times` of the rules, or raise the limit"
        mistakes.add(place, "requests", text=text)


def _most_messages(task):
    """The messages of the customer if every reply is answered by a rule, as long as one is left."""
    customer = task.get("customer", {})
    patience = customer.get("patience", PATIENCE)
    own = [min(patience, _times(request)) for request in task["requests"]]
    shared = min(_times(customer), patience * len(own) - sum(own))
    return len(own) + sum(own) + shared


def _times(owner):
    return sum(rule.get("times", 1) for rule in owner.get("replies", ()))


def rules(task):
    """Yield (path in the task, rule) of all rules of a conversation."""
    for number, request in enumerate(task.get("requests", ())):
        yield from rules_of(request, "requests", number)
    yield from rules_of(task.get("customer", {}), "customer")


def rules_of(owner, *path):
    """Yield (path in the task, rule) of the rules of a request or of the customer."""
    for number, rule in enumerate(owner.get("replies", ())):
        yield (*path, "replies", number), rule


def _wordings(says, *path):
    if isinstance(says, str):
        yield path, says
    else:
        yield from (((*path, number), text) for number, text in enumerate(says))
