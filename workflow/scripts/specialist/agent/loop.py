"""The ReAct loop: thought, action, observation, until there is a reply or a limit.

A conversation is a row of exchanges: a message of the customer, and all turns of the agent until
its reply. One task gives one `Trace`, which holds everything that happened; scoring is elsewhere.

`Agent.exchange` and `Agent.episode` are generators: they yield the messages that the model reads
for its next turn, and are sent its `specialist.agent.policies.Turn`. So a caller decides how many
conversations take their turns together.
"""

import json
import time

from specialist.agent import react
from specialist.agent.customer import Customer
from specialist.agent.environment import Environment, changes, dump
from specialist.agent.memory import remembered
from specialist.agent.record import Exchange, Step, Trace
from specialist.agent.rules import CLAIM, DEFAULT, FAILED, THOUGHT, Rules

MESSAGE_LIMIT = "message_limit"


class Conversation:
    """A customer's conversation with an agent: the record, and the world that the tools change.

    Args:
        trace: a `Trace` with the messages so far.
        connection: the conversation's own copy of the database.
        before: `specialist.agent.environment.dump` of it.
        tools, session, search: see `specialist.agent.environment.Environment`; here `search`
            gives chunks [{"source", "title", "text"}].
    """

    def __init__(self, trace, connection, before, tools, session, search=None):
        self.trace, self.connection, self.before = trace, connection, before
        self.tools, self.session, self.search = tools, session, search
        self.environment = Environment(connection, tools, session, search and self._passages)
        self.found, self._seen = [], connection.total_changes

    def copy(self):
        """The conversation with a record and a copy of the database of its own."""
        trace, connection = self.trace.copy(), self.connection.copy()
        return Conversation(trace, connection, self.before, self.tools, self.session, self.search)

    def condense(self):
        """Drop from the record what neither model nor rules read again."""
        self.trace.messages = remembered(self.trace.messages)
        for step in self.trace.steps:
            step.observation = None

    def close(self):
        """Forget the copy of the database."""
        self.connection.close()

    def call(self, step):
        """Make a step's call and store its result."""
        self.found.clear()
        step.observation, record = self.environment.call(step.call, step.arguments)
        step.error, step.sources = record.get("error"), list(self.found)
        step.wrote = step.error is None and self.environment.writes(step.call)

    def changes(self):
        """What differs in the database since the start; it is read only after a write."""
        if self._seen != self.connection.total_changes:
            self._seen = self.connection.total_changes
            self.trace.changes = changes(self.before, dump(self.connection))
        return self.trace.changes

    def _passages(self, query):
        hits = self.search(query)
        self.found += [hit["source"] for hit in hits]
        return react.passages(hits)


class Agent:
    """Runs tasks and conversations.

    Args:
        policy: what decides the next turn; see `specialist.agent.policies.Policy`.
        system: the system message.
        tools: the tools on offer; `environment.SEARCH` is one of them if it may search.
        max_steps: most turns in an exchange.
        search: function from a query to chunks [{"source", "title", "text"}], or None.
        acted: None, or a function that is given each `Step` when all has come of it. What it
            raises ends the episode.
        rules: whether the rules of the tools hold; see `specialist.agent.rules`.
        max_messages: most messages of the customer in an episode.
        customer: function from a task with `requests` and a trial to its customer.
    """

    def __init__(
        self, policy, system, tools, max_steps, search=None, acted=None, *,
        rules=True, max_messages=12, customer=Customer,
    ):  # fmt: skip
        from specialist.core.json_schema import Validator

        self.policy, self.system, self.tools = policy, system, tools
        self.max_steps, self.search, self.acted = max_steps, search, acted
        self.rules, self.max_messages = Rules(tools) if rules else None, max_messages
        self.customer = customer
        self._schemas = {tool["name"]: Validator(tool["parameters"]) for tool in tools}

    def run(self, task, connection, before, trial=0):
        """One episode with the agent's own policy, as a `Trace`; see `episode`."""
        self.policy.begin(task, trial)
        return drive(self.episode(task, trial, connection, before), self.policy.turn)

    def episode(self, task, trial, connection, before):
        """A generator of one run of a task; see the module. It returns a `Trace`.

        Args:
            task: a row of the tasks.
            trial: number of the run.
            connection: the run's own copy of the database, which the episode changes.
            before: `specialist.agent.environment.dump` of it.
        """
        customer = (self.customer if "requests" in task else Customer)(task, trial)
        trace = Trace(task["id"], task["kind"], self.opening(), trial)
        conversation = self.converse(trace, connection, before, task.get("session", {}))
        message = customer.opening()
        while message is not None:
            if len(trace.exchanges) == self.max_messages:
                trace.ended = MESSAGE_LIMIT
                break
            exchange = yield from self.exchange(conversation, message)
            message = customer.hear(exchange.reply)
        return trace

    def opening(self):
        """The messages that each conversation starts with."""
        return [{"role": "system", "content": self.system}]

    def converse(self, trace, connection, before, session):
        """A `Conversation` with this agent."""
        return Conversation(trace, connection, before, self.tools, session, self.search)

    def exchange(self, conversation, message):
        """A generator of one exchange; see the module. It returns the `Exchange`.

        Args:
            conversation: a `Conversation`, whose trace is added to.
            message: a `specialist.agent.customer.Message`.
        """
        trace, own = conversation.trace, None
        exchange = Exchange(message.request, message.source, message.confirms, message.text)
        number, first = len(trace.exchanges), len(trace.steps)
        trace.messages.append({"role": "user", "content": message.text})
        for _ in range(self.max_steps):
            begin = time.perf_counter()
            turn = yield self._remembered(trace)
            step = Step(exchange=number)
            trace.steps.append(step)
            ended, own = self._take(conversation, turn, step, first)
            self._end_step(trace, begin)
            if ended:
                exchange.ended = ended
                break
        exchange.reply, exchange.rule = own, self._broken(trace, exchange.ended, own)
        if exchange.rule:
            exchange.own_changes = conversation.changes()
            exchange.said, exchange.reply = own, self._fall_back(conversation, number)
        exchange.steps, exchange.changes = len(trace.steps) - first, conversation.changes()
        trace.exchanges.append(exchange)
        trace.ended, trace.answer = exchange.ended, exchange.reply
        return exchange

    def _remembered(self, trace):
        return remembered(trace.messages, self.policy.count, self.policy.room)

    def _end_step(self, trace, begin):
        trace.times["steps"].append(time.perf_counter() - begin)
        trace.times["total"] = sum(trace.times["steps"])
        if self.acted:
            self.acted(trace.steps[-1])

    def _take(self, conversation, turn, step, first):
        """Take one turn; (how the exchange ended with it or None, its answer or None)."""
        trace = conversation.trace
        trace.times["prompt"] += turn.prompt_s
        trace.times["generated"] += turn.generated_s
        read = react.parse(turn.text) if turn.cut is None else {"error": turn.cut}
        step.thought, step.error = read.get("thought"), read.get("error")
        step.call, step.arguments = read.get("call"), read.get("arguments")
        step.prompt_tokens, step.generated_tokens = turn.prompt_tokens, turn.generated_tokens
        trace.messages.append({"role": "assistant", "content": turn.text})
        if step.error:
            return turn.cut or "malformed_turn", None
        if "answer" in read:
            step.valid = True
            return "answer", read["answer"]
        schema = self._schemas.get(step.call)
        step.valid = schema is not None and schema.is_valid(step.arguments)
        if refusal := self._refusal(step, trace):
            step.error = refusal
            step.observation = json.dumps({"error": refusal}, ensure_ascii=False)
        else:
            conversation.call(step)
        trace.messages.append({"role": "tool", "content": step.observation})
        done = [(s.call, s.arguments, s.observation) for s in trace.steps[first:][-2:]]
        return "loop" if len(done) == 2 and done[0] == done[1] else None, None

    def _refusal(self, step, trace):
        """Why a step's call is not made, or None."""
        if not step.valid:
            return f"{step.call} does not take these arguments"
        return self.rules and self.rules.refusal(step.call, step.arguments, trace.messages)

    def _broken(self, trace, ended, reply):
        """Why a rule replaces the reply, or None."""
        if not self.rules:
            return None
        if reply is None:
            return ended if ended in FAILED else None
        return CLAIM if self.is_false(trace, reply) else None

    def is_false(self, trace, reply):
        """Whether a reply claims what was not done, if the rules hold."""
        done = [step.call for step in trace.steps if step.call and step.valid and not step.error]
        return self.rules is not None and self.rules.false_claim(reply, done)

    def _fall_back(self, conversation, number):
        """Make the fallback's call, once in a conversation, and record its turns; the reply."""
        trace, tool = conversation.trace, self.rules.fallback
        reply, done = DEFAULT, any(s.by == "rule" and s.wrote for s in trace.steps)
        if tool and not done:
            step = Step(THOUGHT, tool["name"], tool["fallback"]["arguments"], True)
            conversation.call(step)
            done = step.error is None
            content = react.write_action(THOUGHT, step.call, step.arguments)
            trace.messages.append({"role": "assistant", "content": content})
            trace.messages.append({"role": "tool", "content": step.observation})
            self._add(trace, step, number)
        if tool and done:
            reply = tool["fallback"]["answer"]
        trace.messages.append({"role": "assistant", "content": react.write_answer(THOUGHT, reply)})
        self._add(trace, Step(THOUGHT, valid=True), number)
        return reply

    def _add(self, trace, step, number):
        """Record a step of a rule."""
        step.exchange, step.by = number, "rule"
        trace.steps.append(step)
        self._end_step(trace, time.perf_counter())


def drive(turns, turn):
    """Run a generator of the agent to its end.

    Args:
        turns: `Agent.exchange` or `Agent.episode`.
        turn: function from messages to a `specialist.agent.policies.Turn`.

    Returns:
        what the generator returns.
    """
    said = None
    while True:
        try:
            messages = turns.send(said)
        except StopIteration as end:
            return end.value
        said = turn(messages)
