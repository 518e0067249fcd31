"""The ReAct loop: thought, action, observation, until there is an answer or a limit.

One episode gives one `Trace`, which holds everything that happened; scoring is elsewhere.
"""

import json
import time
from dataclasses import asdict, dataclass, field

from specialist.agent import react
from specialist.agent.environment import Environment, changes, dump


@dataclass
class Step:
    """One turn of the agent and its result.

    Attributes:
        thought: its thought; None if the turn cannot be read.
        call, arguments: the tool it called and with what; None for an answer.
        valid: whether the turn is an answer, or a call that fits the tool's JSON schema.
        observation: what the agent read afterwards; None after an answer.
        error: why a tool refused the call, or what is wrong with the turn; None otherwise.
        sources: the articles of the passages that a search found, best first.
        prompt_tokens, generated_tokens: see `specialist.agent.policies.Turn`.
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


@dataclass
class Trace:
    """An episode.

    Attributes:
        id, kind: the task's.
        ended: "answer"; "step_limit"; "loop" (the same call with the same result twice in a
            row); "context_overflow"; "token_limit" (a turn longer than it may be); or
            "malformed_turn".
        answer: what the customer reads, or None.
        messages: the conversation, [{"role", "content"}], system message included.
        steps: list of `Step`.
        changes: what differs in the database; see `specialist.agent.environment.changes`.
        times: seconds: "steps" (a list), and their sums "prompt" and "generated" (in the
            model) and "total". They differ from run to run, and nothing else does.
    """

    id: str
    kind: str
    messages: list
    ended: str = "step_limit"
    answer: str | None = None
    steps: list = field(default_factory=list)
    changes: dict = field(default_factory=dict)
    times: dict = field(
        default_factory=lambda: {"steps": [], "prompt": 0.0, "generated": 0.0, "total": 0.0}
    )

    def lines(self):
        """A line of traces.jsonl, which is the same in each run, and a line of times.jsonl."""
        trace = asdict(self)
        times = {"id": self.id, **trace.pop("times")}
        return tuple(
            json.dumps(row, ensure_ascii=False, allow_nan=False, sort_keys=True)
            for row in (trace, times)
        )


class Agent:
    """Runs tasks.

    Args:
        policy: what decides the next turn; see `specialist.agent.policies`.
        system: the system message.
        tools: the tools on offer; `environment.SEARCH` is one of them if it may search.
        max_steps: most turns in an episode.
        search: function from a query to chunks [{"source", "title", "text"}], or None.
        acted: None, or a function that is given each `Step` when all has come of it. What it
            raises ends the episode.
    """

    def __init__(self, policy, system, tools, max_steps, search=None, acted=None):
        from specialist.core.json_schema import Validator

        self.policy, self.system, self.tools = policy, system, tools
        self.max_steps, self.search, self.acted = max_steps, search, acted
        self._schemas = {tool["name"]: Validator(tool["parameters"]) for tool in tools}

    def run(self, task, connection, before):
        """One episode.

        Args:
            task: dict with "id", "kind", "message" and perhaps "session".
            connection: the task's own copy of the database, which the episode changes.
            before: `specialist.agent.environment.dump` of it.
        """
        trace = Trace(
            task["id"],
            task["kind"],
            [
                {"role": "system", "content": self.system},
                {"role": "user", "content": task["message"]},
            ],
        )
        self.policy.begin(task)
        self.answer(trace, connection, task.get("session", {}))
        trace.changes = changes(before, dump(connection))
        return trace

    def answer(self, trace, connection, session):
        """Take turns until the last message of a trace's conversation is answered.

        Args:
            trace: a `Trace` whose messages end with the customer's; it is added to.
            connection: the database, which the tools change.
            session: values that the tools' SQL may use by name.
        """
        found = []
        environment = Environment(
            connection,
            self.tools,
            session,
            self.search and (lambda query: self._passages(query, found)),
        )
        for _ in range(self.max_steps):
            begin = time.perf_counter()
            ended = self._step(trace, environment, found)
            trace.times["steps"].append(time.perf_counter() - begin)
            if self.acted:
                self.acted(trace.steps[-1])
            if ended:
                trace.ended = ended
                break
        trace.times["total"] = sum(trace.times["steps"])

    def _step(self, trace, environment, found):
        """Take one turn; how the episode ended with it, or None."""
        turn = self.policy.turn(trace.messages)
        trace.times["prompt"] += turn.prompt_s
        trace.times["generated"] += turn.generated_s
        read = react.parse(turn.text) if turn.cut is None else {"error": turn.cut}
        step = Step(
            read.get("thought"),
            read.get("call"),
            read.get("arguments"),
            error=read.get("error"),
            prompt_tokens=turn.prompt_tokens,
            generated_tokens=turn.generated_tokens,
        )
        trace.steps.append(step)
        trace.messages.append({"role": "assistant", "content": turn.text})
        if step.error:
            return turn.cut or "malformed_turn"
        if "answer" in read:
            step.valid, trace.answer = True, read["answer"]
            return "answer"
        schema = self._schemas.get(step.call)
        step.valid = schema is not None and schema.is_valid(step.arguments)
        self._act(step, environment, found)
        trace.messages.append({"role": "tool", "content": step.observation})
        done = [(s.call, s.arguments, s.observation) for s in trace.steps[-2:]]
        return "loop" if len(done) == 2 and done[0] == done[1] else None

    def _act(self, step, environment, found):
        """Make a step's call and store its result."""
        if not step.valid:
            step.error = f"{step.call} does not take these arguments"
            step.observation = json.dumps({"error": step.error}, ensure_ascii=False)
            return
        found.clear()
        step.observation, record = environment.call(step.call, step.arguments)
        step.error, step.sources = record.get("error"), list(found)

    def _passages(self, query, found):
        hits = self.search(query)
        found += [hit["source"] for hit in hits]
        return "\n".join(react.passage(f"{hit['title']}\n{hit['text']}") for hit in hits)
