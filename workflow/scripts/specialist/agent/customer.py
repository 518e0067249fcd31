"""The simulated customer of a task: deterministic, and played by rules that are data.

A customer has one or more requests. After each reply of the agent the customer answers by the
first rule that matches it, or goes on to the next request, or leaves.
"""

from dataclasses import dataclass

from specialist.core.patterns import found

PATIENCE = 2  # answers by rules to one request, where a task sets no `patience`


@dataclass(frozen=True)
class Message:
    """What the customer writes.

    Attributes:
        text: the words.
        request: index of the open request.
        source: "request" (it opens the request), "reply" (a rule's answer), or "vain" (the answer
            to a question whose answer the customer has already given).
        confirms: whether it confirms what the agent asked to do.
    """

    text: str
    request: int = 0
    source: str = "request"
    confirms: bool = False


def requests(task):
    """The requests of a task, as a list of dicts.

    Each has "says" (list of wordings), "kb", "expect" and "replies" (list of rules), and perhaps
    "solution". A task with one message is one request.
    """
    if "requests" not in task:
        given = {key: task[key] for key in ("kb", "expect", "solution") if key in task}
        return [{"kb": [], "expect": {}, "replies": []} | given | {"says": [task["message"]]}]
    return [
        {"kb": [], "expect": {}, "replies": []} | request | {"says": _wordings(request["says"])}
        for request in task["requests"]
    ]


class Customer:
    """Plays the customer of a task.

    Args:
        task: a row of the tasks.
        trial: number of the run; it chooses the wordings.
    """

    def __init__(self, task, trial=0):
        self.requests, self.trial = requests(task), trial
        customer = task.get("customer", {})
        self.common = customer.get("replies", [])
        self.patience = customer.get("patience", PATIENCE)
        self.open, self.answers, self.used = 0, 0, {}

    def opening(self):
        """The first `Message`."""
        return self._request()

    def hear(self, reply):
        """What the customer writes after a reply.

        Args:
            reply: text, or None if the agent gave none.

        Returns:
            a `Message`, or None: the customer has nothing more to say.
        """
        rule = self._rule(reply)
        if rule:
            self.answers += 1
            self.used[id(rule)] = self.used.get(id(rule), 0) + 1
            source = "vain" if rule.get("vain") else "reply"
            return Message(
                self._wording(rule["says"]), self.open, source, rule.get("confirms", False)
            )
        if self.open + 1 == len(self.requests):
            return None
        self.open, self.answers = self.open + 1, 0
        return self._request()

    def _rule(self, reply):
        if reply is None or self.answers >= self.patience:
            return None
        for rule in [*self.requests[self.open]["replies"], *self.common]:
            left = rule.get("times", 1) - self.used.get(id(rule), 0)
            if left > 0 and found(rule["hears"], reply):
                return rule
        return None

    def _request(self):
        return Message(self._wording(self.requests[self.open]["says"]), self.open)

    def _wording(self, says):
        says = _wordings(says)
        return says[self.trial % len(says)]


def _wordings(says):
    return [says] if isinstance(says, str) else says
