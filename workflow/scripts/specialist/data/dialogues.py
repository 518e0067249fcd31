"""Conversations of simulated customers, drawn from conversations.yaml and played by the oracle.

A kind of conversation is a list of requests. A request says what the customer wants, how they say
it, what the agent does in each exchange, and how the customer replies to what the agent says.
"""

import random
from dataclasses import dataclass

from specialist.agent import react
from specialist.agent.memory import remembered
from specialist.core.errors import UserError
from specialist.core.patterns import found
from specialist.data.oracle import play, world
from specialist.data.scenario import Scenario, capitalised

FRAME = ("opening", "closing")
WORDINGS = 4  # of each message of a task
TRIES = 100  # to find so many


@dataclass
class Part:
    """One thing that a customer wants.

    Attributes:
        topic: what it is about.
        scenario: the customer and the case.
        says: topics of the sayings that it is put in, each as likely.
        does: the procedures of the agent, one for each exchange.
        values: fields of the case that the customer gives otherwise in the first message.
    """

    topic: str
    scenario: Scenario
    says: list
    does: list
    values: dict


@dataclass
class Request:
    """The content of one message of a customer: one thing, or several at once.

    Attributes:
        parts: list of `Part`.
        replies: rules {"hears", "says", perhaps "confirms"} of the customer's replies.
        frame: topics of what may stand before and after it, as in letters.
    """

    parts: list
    replies: list
    frame: tuple

    def message(self):
        """What the customer writes."""
        scenario = self.parts[0].scenario
        texts = [part.scenario.say(scenario.any(part.says), **part.values) for part in self.parts]
        texts[:-1] = [text if text[-1] in ".!?" else f"{text}." for text in texts[:-1]]
        if scenario.any([True, False]):
            said = {topic: scenario.say(topic) for topic in self.frame}
            texts = [said.get("opening"), *texts, said.get("closing")]
        return capitalised(" ".join(filter(None, texts)))

    def reply(self, rule):
        """What the customer replies by a rule."""
        scenario = self.parts[0].scenario
        return scenario.line(scenario.any(_list(rule["says"])))

    def exchanges(self, spec, environment):
        """Yield (rule, steps, facts) of each exchange.

        The rule is the one that the customer's message follows from; None for the first.
        """
        rule, left, heard = None, list(self.replies), ""
        for number in range(len(self.parts[0].does)):
            if number:
                rule = next((r for r in left if found(r["hears"], heard)), None)
                if rule is None:
                    raise ValueError(f"no rule of the customer matches: {heard}")
                left.remove(rule)
            played = [
                play(
                    spec,
                    part.scenario,
                    part.does[number],
                    environment,
                    part.topic,
                    values={} if number else part.values,
                )
                for part in self.parts
            ]
            steps, facts = _joined(played, [part.topic for part in self.parts])
            heard = steps[-1]["answer"]
            yield rule, steps, facts


@dataclass
class Conversation:
    """A customer with requests.

    Attributes:
        requests: list of `Request`.
        scenarios: the customer's cases.
    """

    requests: list
    scenarios: list

    def rows(self, customer_id):
        """SQL that adds the customer and all cases to the database."""
        return [
            row
            for number, scenario in enumerate(self.scenarios)
            for row in scenario.rows(customer_id, known=number > 0)
        ]

    def names(self, fields):
        """Values of some fields in all cases, those that the customer gives wrongly among them."""
        cases = [scenario.case for scenario in self.scenarios]
        cases += [part.values for request in self.requests for part in request.parts]
        names = (case[field] for case in cases for field in fields if field in case)
        return list(dict.fromkeys(names))


def draw(spec, name, split, key, figures=None, taken=()):
    """A conversation of a kind; the arguments are those of `Scenario`."""
    chooser = random.Random("/".join(map(str, (*key, "plan"))))
    entries = [
        _chosen(spec, entry, chooser)
        for entry in spec.conversations["kinds"][name]["requests"]
        if chooser.random() < entry.get("chance", 1)
    ]
    cases = {}
    for part in (part for entry in entries for part in entry["parts"]):
        case = cases.setdefault(part.get("order", 0), {})
        case |= part["case"]
    scenarios = []
    for number in range(max(cases) + 1):
        case = cases.get(number, {})
        if scenarios:
            first = scenarios[0]
            figures, case = first.figures, case | {"person": first.case["person"]}
            taken = {*taken, *first.names()}
        scenarios.append(Scenario(spec, split, (*key, number), figures, case, taken))
    requests = []
    for entry in entries:
        parts = [_part(part, scenarios[part.get("order", 0)]) for part in entry["parts"]]
        frame = (FRAME if not requests else FRAME[1:]) if "of" in entry else ()
        requests.append(Request(parts, entry.get("replies", []), frame))
    return Conversation(requests, scenarios)


def _chosen(spec, entry, chooser):
    """An entry with its topic and case chosen, and "parts": itself and what is asked at once."""
    kind = spec.kinds[chooser.choice(entry["of"])] if "of" in entry else {}
    chosen = kind | entry | {"case": kind.get("case", {}) | entry.get("case", {})}
    others = [_chosen(spec, other, chooser) for other in _list(entry.get("also", []))]
    chosen["parts"] = [chosen, *others]
    return chosen


def _part(entry, scenario):
    topic = entry["topic"]
    says, does = (
        [text.format(topic=topic) for text in _list(entry.get(key, "{topic}"))]
        for key in ("says", "does")
    )
    return Part(topic, scenario, says, does, scenario.values(entry.get("with", {})))


def _list(value):
    return value if isinstance(value, list) else [value]


def _joined(played, topics):
    """Procedures one after the other, as one that gives all their answers at its end.

    Each thought of a procedure names the next one: a small model copies what stands near.
    """
    steps, facts = [], []
    if len(played) > 1:
        first = played[0][0][0]
        first["thought"] = f"{len(played)} requests, {' and '.join(topics)}, {first['thought']}"
    for number, (more, held) in enumerate(played):
        if steps:
            last = steps.pop()
            more[0]["thought"] = f"{last['thought']}, {more[0]['thought']}"
            more[-1]["answer"] = f"{last['answer']} {more[-1]['answer']}"
        for step in more if number + 1 < len(played) else []:
            step["thought"] += f", then {topics[number + 1]}"
        steps, facts = steps + more, facts + held
    return steps, facts


def episodes(spec, name, key):
    """Yield the training rows of one conversation, one for each message of the customer."""
    conversation = draw(spec, name, "train", key)
    scenario = conversation.scenarios[0]
    environment, messages = world(spec, scenario, conversation.rows(1), 1), []
    for request in conversation.requests:
        for rule, steps, _ in request.exchanges(spec, environment):
            text = request.reply(rule) if rule else request.message()
            messages += react.messages(text, steps)
            yield {"messages": _weighted(remembered(messages))}


def _weighted(messages):
    """Messages whose loss is of the last exchange alone."""
    last = max(n for n, turn in enumerate(messages) if turn["role"] == "user")
    return [
        turn | ({"weight": 0} if turn["role"] == "assistant" and n < last else {})
        for n, turn in enumerate(messages)
    ]


def task(spec, name, key, number, customer_id, taken):
    """A held-out conversation as a task, and the SQL of its rows.

    Args:
        taken: identifiers of other tasks; those of this one are added.
    """
    conversation = draw(spec, name, "heldout", key, spec.figures, taken)
    names, statements = spec.world["names"], conversation.rows(customer_id)
    taken.update(conversation.names(names[:1]))
    environment = world(spec, conversation.scenarios[0], statements, customer_id)
    requests = [_request(spec, request, environment) for request in conversation.requests]
    vain = [
        rule | {"says": _wordings(conversation.requests[0].reply, rule)}
        for rule in spec.conversations["customer"]["replies"]
    ]
    pages = {page for request in requests for page in request["kb"]}
    return {
        "id": f"{name}-{number:03d}",
        "kind": name,
        "session": {"customer_id": customer_id},
        "requests": requests,
        "customer": spec.conversations["customer"] | {"replies": vain},
        "turns_on_kb": any("figures." in spec.articles[page] for page in pages),
        "entities": conversation.names(names),
    }, statements


def _request(spec, request, environment):
    """A request of a task, played on the database of its conversation."""
    before, solution, facts, pages = environment.dump(), [], [], []
    for _, steps, held in request.exchanges(spec, environment):
        solution += shown(steps)
        pages += [step["finds"] for step in steps if step.get("finds")]
        facts += held
    return {
        "says": _wordings(request.message),
        "kb": list(dict.fromkeys(pages)),
        "expect": {"database": environment.changes(before), "answer": facts},
        "replies": [rule | {"says": _wordings(request.reply, rule)} for rule in request.replies],
        "solution": solution,
    }


def shown(steps):
    """The steps of a solution."""
    keys = ("thought", "call", "arguments", "answer")
    return [{key: step[key] for key in keys if key in step} for step in steps]


def _wordings(write, *arguments):
    """Different texts that a function writes, as many as there are trials."""
    texts = {}
    for _ in range(TRIES):
        texts[write(*arguments)] = None
        if len(texts) == WORDINGS:
            return list(texts)
    raise UserError(
        f"found {len(texts)} wordings such as {next(iter(texts))!r}, expected {WORDINGS} in the "
        "held-out sayings; add phrasings of this topic"
    )
