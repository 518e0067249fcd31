"""The outcome of each request of a task: its exchanges, the agent's steps, and its own changes."""

from dataclasses import dataclass

from specialist.agent.customer import requests
from specialist.agent.facts import holds
from specialist.agent.states import compared, together, undone


@dataclass
class Part:
    """The outcome of one request.

    Attributes:
        request: the request; see `specialist.agent.customer.requests`.
        exchanges: its exchanges, in order; none if the conversation ended before.
        steps: the steps of these exchanges, those of the loop's rules left out.
        changes: what these exchanges changed in the database, the loop's rules included.
    """

    request: dict
    exchanges: list
    steps: list
    changes: dict

    @property
    def replies(self):
        """What the customer read, as one text; None without a reply."""
        texts = [each["reply"] for each in self.exchanges if each["reply"] is not None]
        return "\n".join(texts) if texts else None

    @property
    def informed(self):
        """Whether each required fact stands in one of the replies."""
        texts = [each["reply"] for each in self.exchanges]
        facts = self.request["expect"].get("answer", [])
        return all(any(holds(text, fact) for text in texts) for fact in facts)

    @property
    def done(self):
        """Whether the exchanges changed the database as this request asks."""
        expected, actual = compared(self.request["expect"].get("database", {}), self.changes)
        return expected == actual

    @property
    def solved(self):
        """Whether each exchange ended with an answer, with the facts and changes requested."""
        ended = {each["ended"] for each in self.exchanges}
        return ended == {"answer"} and self.informed and self.done


def exchanges(task, trace):
    """The exchanges of a trace; see `specialist.agent.record.Trace`.

    A trace of a task with one message has one, made of the keys of the trace itself.
    """
    if "requests" in task:
        return trace["exchanges"]
    [found] = trace.get("exchanges", [{}])
    own = {"message": task["message"], "reply": trace["answer"]}
    kept = {key: trace[key] for key in ("ended", "changes")}
    return [{"request": 0, "source": "request", "confirms": False, **found, **own, **kept}]


def own_changes(held):
    """What the agent itself changed in each exchange, without what the loop's rules changed."""
    found, before = [], {}
    for each in held:
        by_rule = each.get("rule") is not None
        after = each["own_changes"] if by_rule else each["changes"]
        found.append(together(after, undone(before)))
        before = each["changes"]
    return found


def parts(task, trace):
    """A `Part` for each request of a task."""
    held, found, before = exchanges(task, trace), [], {}
    for number, request in enumerate(requests(task)):
        places = {place for place, each in enumerate(held) if each["request"] == number}
        mine = [held[place] for place in sorted(places)]
        after = mine[-1]["changes"] if mine else before
        steps = [
            step
            for step in trace["steps"]
            if step.get("exchange", 0) in places and step.get("by") != "rule"
        ]
        found.append(Part(request, mine, steps, together(after, undone(before))))
        before = after
    return found
