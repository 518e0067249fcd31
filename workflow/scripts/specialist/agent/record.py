"""The record of an episode: its turns, its exchanges, and their results."""

import json
from dataclasses import asdict, dataclass, field, replace


@dataclass
class Step:
    """One turn of the agent and its result.

    Attributes:
        thought: its thought; None if the turn cannot be read.
        call, arguments: the tool it called and with what; None for an answer.
        valid: whether the turn is an answer, or a call that fits the tool's JSON schema.
        observation: what the agent read afterwards; None after an answer.
        error: why a tool or a rule refused the call, or what is wrong with the turn; None
            otherwise.
        sources: the articles of the passages that a search found, best first.
        prompt_tokens, generated_tokens: see `specialist.agent.policies.Turn`.
        exchange: index of the exchange.
        wrote: whether a tool that changes the database was carried out.
        by: "agent", or "rule" for a turn that a rule wrote; see `specialist.agent.rules`.
    """

    thought: str | None = None
    call: str | None = None
    arguments: dict | None = None
    valid: bool = False
    observation: str | None = None
    error: str | None = None
    sources: list = field(default_factory=list)
    prompt_tokens: int = 0
    generated_tokens: int = 0
    exchange: int = 0
    wrote: bool = False
    by: str = "agent"


@dataclass
class Exchange:
    """One message of the customer and the agent's reply.

    Attributes:
        request, source, confirms: of the message; see `specialist.agent.customer.Message`.
        message: its text.
        reply: what the customer reads, or None.
        said: the agent's own reply if a rule replaced it, else None.
        rule: why a rule replaced it: "claim", or how the exchange ended; else None.
        ended: "answer"; "step_limit"; "loop" (the same call with the same result twice in a
            row); "context_overflow"; "token_limit" (a turn longer than it may be); or
            "malformed_turn".
        steps: number of steps.
        changes: what differs in the database since the start of the conversation; see
            `specialist.agent.environment.changes`.
        own_changes: the same before the call of a rule in this exchange; None without a rule.
    """

    request: int
    source: str
    confirms: bool
    message: str
    reply: str | None = None
    said: str | None = None
    rule: str | None = None
    ended: str = "step_limit"
    steps: int = 0
    changes: dict = field(default_factory=dict)
    own_changes: dict | None = None


@dataclass
class Trace:
    """An episode.

    Attributes:
        id, kind: the task's.
        trial: number of the run of this task, from 0.
        ended: as the last exchange ended; or "message_limit", if the customer would have written
            more.
        answer: the last reply, or None.
        messages: the conversation in full, [{"role", "content"}], system message included.
        exchanges: list of `Exchange`.
        steps: list of `Step`, one for each turn of the agent.
        changes: what differs in the database; see `specialist.agent.environment.changes`.
        times: seconds: "steps" (a list), and their sums "prompt" and "generated" (in the
            model) and "total". They differ from run to run, and nothing else does.
    """

    id: str
    kind: str
    messages: list
    trial: int = 0
    ended: str = "step_limit"
    answer: str | None = None
    exchanges: list = field(default_factory=list)
    steps: list = field(default_factory=list)
    changes: dict = field(default_factory=dict)
    times: dict = field(
        default_factory=lambda: {"steps": [], "prompt": 0.0, "generated": 0.0, "total": 0.0}
    )

    def copy(self):
        """A trace that can be added to and leaves this one as it is."""
        times = {**self.times, "steps": list(self.times["steps"])}
        lists = {name: list(getattr(self, name)) for name in ("messages", "exchanges", "steps")}
        return replace(self, times=times, **lists)

    def lines(self):
        """A line of traces.jsonl, which is the same in each run, and a line of times.jsonl."""
        trace = asdict(self)
        times = {"id": self.id, "trial": self.trial, **trace.pop("times")}
        return tuple(
            json.dumps(row, ensure_ascii=False, allow_nan=False, sort_keys=True)
            for row in (trace, times)
        )


def spread(tasks, count):
    """A number of tasks, spread evenly over all of them and in their order.

    Args:
        tasks: list.
        count: of the tasks to take; None, or more than there are, takes all.
    """
    if count is None or count >= len(tasks):
        return tasks
    return [tasks[place * len(tasks) // count] for place in range(count)]
