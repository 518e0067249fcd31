"""Simulates a dataset from a spec that is data only (resources/datasets/*).

A scenario is one customer, one order and one revision of the handbook. From scenarios come
the four parts of a dataset folder: corpus, training episodes, knowledge base and held-out
tasks. Each is drawn by its own generators, seeded by name and number, so that a change in
one part or one kind leaves the bytes of the others as they were.
"""

import json
import random
import re
import zlib
from functools import cached_property
from pathlib import Path

import jinja2.sandbox
import yaml

from specialist import react
from specialist.environment import SEARCH, Environment, open_database

PARTS = "world figures sayings procedures kinds corpus labels tools".split()


class Spec:
    """The files of a spec, and its templates compiled once."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.schema = (self.folder / "database.sql").read_text()
        self.templates = jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined)
        self._compiled = {}

    def __getattr__(self, name):
        if name not in PARTS:
            raise AttributeError(name)
        value = yaml.safe_load((self.folder / f"{name}.yaml").read_text())
        setattr(self, name, value)
        return value

    @cached_property
    def articles(self):
        return {path.name: path.read_text() for path in sorted((self.folder / "handbook").glob("*.md"))}

    @cached_property
    def topics(self):
        """Topics that customers complain or ask about with an order."""
        return list(self.labels["labels"])

    def render(self, text, **context):
        if "{" not in text:
            return text
        if text not in self._compiled:
            self._compiled[text] = self.templates.from_string(text)
        return self._compiled[text].render(context)

    def test(self, expression, **context):
        if expression not in self._compiled:
            self._compiled[expression] = self.templates.compile_expression(expression)
        return self._compiled[expression](**context)


class Scenario:
    """One customer, one order, one revision of the handbook.

    Args:
        spec: the spec.
        split: "train" or "heldout": which entities, identifiers and phrasings may be drawn.
        key: what seeds this scenario, for example (seed, "task", 17).
        figures: the figures in force, or None to draw a revision.
        order: the kind's overrides of the order's fields.
    """

    def __init__(self, spec, split, key, figures=None, order=None):
        self.spec, self.split = spec, split
        self.random = random.Random("/".join(map(str, key)))
        self.figures = figures or {
            page: {name: self.between(*span) for name, span in spans.items()}
            for page, spans in spec.world["revisions"].items()
        }
        self.person, self.order = self.entity("person"), {"owner": "customer"}
        for name, template in {**spec.world["order"], **(order or {})}.items():
            value = spec.render(template, between=self.between, figures=self.figures)
            self.order[name] = int(value) if value.isdigit() else value
        self._complete_order()

    def _complete_order(self):
        order = self.order
        order["id"] = self._identifier()
        order["dish"], order["other_dish"] = self.entity("dish"), self.entity("dish")
        order["address"] = f"{self.entity('door')} {self.entity('street')}"
        order["door"], order["street"] = self.entity("door"), self.entity("street")
        order["new_address"] = f"{order['door']} {order['street']}"
        order.setdefault("total", self.between(1200, 7900))
        order["price"] = order["total"] * self.between(35, 65) // 100

    def between(self, low, high):
        return self.random.randint(low, high)

    def any(self, values):
        return self.random.choice(list(values))

    def shuffled(self, values):
        return self.random.sample(list(values), len(values))

    def entity(self, name):
        """A value of an entity, from this scenario's side of the split."""
        entry = self.spec.world["entities"][name]
        if "range" in entry:
            return self.between(*entry["range"])
        while True:
            if "pattern" in entry:
                value = re.sub(r"\{(\w+)\}", lambda m: str(self.entity(m[1])), entry["pattern"])
            else:
                value = self.any(entry["values"])
            if "heldout" not in entry or self._mine(value, entry["heldout"]):
                return value

    def _identifier(self):
        while True:
            value = re.sub("#", lambda _: str(self.between(0, 9)), self.spec.world["order_id"])
            if self._mine(value, 0.1):
                return value

    def _mine(self, value, heldout):
        # A checksum splits the same way in every process, for every seed.
        return (zlib.crc32(value.encode()) % 1000 < heldout * 1000) == (self.split == "heldout")

    def say(self, topic, **values):
        """One phrasing of a topic, its alternatives chosen and its slots filled."""
        text = self.any(self.spec.sayings[topic][self.split])
        text = re.sub(r"\[([^]]*)\]", lambda m: self.any(m[1].split("|")), text)
        slots = {"order": self.order["id"], "person": self.person, **self.order, **values}
        slots["order"] = self.order["id"]
        return re.sub(r"\{(\w+)\}", lambda m: str(slots[m[1]]), text)

    def message(self, topic, attack=False):
        """What the customer writes."""
        parts = [self.say("opening"), self.say(topic)]
        if attack:
            parts.append(self.say("attack", percent=self.between(80, 100)))
        parts.append(self.say("closing"))
        text = " ".join(part for part in parts if part)
        return text[0].upper() + text[1:]

    def article(self, page, note=""):
        return self.spec.render(self.spec.articles[page], figures=self.figures, note=note).strip()

    def note(self):
        return self.say("note", percent=self.between(80, 100))

    def context(self):
        """What the corpus's templates may use."""
        spec = self.spec
        return {
            "order": self.order, "figures": self.figures, "person": self.person,
            "between": self.between, "any": self.any, "shuffled": self.shuffled,
            "message": self.message, "article": self.article, "receipt": self.receipt,
            "euros": euros, "example": self.example, "tools": [SEARCH, *spec.tools], "topics": spec.topics,
            **spec.labels,
        }  # fmt: skip

    def example(self, parameter):
        values = {"order_id": self.order["id"], "dish": self.order["dish"], "address": self.order["new_address"]}
        values |= {"topic": self.any(self.spec.labels["labels"].values())}
        values |= {"query": self.any(self.spec.labels["labels"].values())}
        return json.dumps(values.get(parameter, self.between(5, 100)))

    def receipt(self, lines):
        rows = []
        for _ in range(lines):
            rows.append(self.any([
                f"{self._identifier()} {euros(self.between(300, 9900))}",
                f"{self.entity('dish')} {euros(self.between(300, 2900))}",
                f"{self.entity('door')} {self.entity('street')} {self.between(1, 180)} minutes",
                f"{self._identifier()} {self.between(1, 100)} percent",
            ]))  # fmt: skip
        return "\n".join(rows)

    def rows(self, customer_id):
        """SQL that adds this scenario's customer and order to the database."""
        order = self.order
        owner = customer_id if order["owner"] == "customer" else customer_id + 1
        customers = [(customer_id, self.person), (customer_id + 1, self.entity("person"))]
        fields = (order["id"], owner, order["status"], order["address"], order["total"],
                  order["placed_ago"], order["late_minutes"], order["delivered_ago"], order["eta"], 0)  # fmt: skip
        items = [(order["id"], order["dish"], order["price"]),
                 (order["id"], order["other_dish"], order["total"] - order["price"])]  # fmt: skip
        statements = [_insert("customers", row) for row in customers]
        return statements + [_insert("orders", fields)] + [_insert("items", row) for row in items]


def euros(cents):
    return f"{cents / 100:.2f}"


def _insert(table, row):
    values = ", ".join(str(v) if isinstance(v, int) else "'" + v.replace("'", "''") + "'" for v in row)
    return f"INSERT INTO {table} VALUES ({values});"


def play(spec, scenario, kind, environment):
    """The scripted oracle's way through a scenario.

    Returns:
        (steps, facts): the steps taken, each {"thought", "call", "arguments", "observation",
        "finds"} or {"thought", "answer"}, and the facts that the answer must hold.
    """
    steps, context = [], {"order": scenario.order, "figures": scenario.figures, "result": {}}
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
    chooser = random.Random(f"{seed}/corpus")
    for number in range(documents):
        kind = chooser.choices(kinds, [entry["share"] for entry in kinds])[0]
        scenario = Scenario(spec, "train", (seed, "corpus", number), order=_any_status(chooser))
        context = scenario.context() | {"topic": scenario.any(spec.topics)}
        if "messages" in kind:
            # A reply may itself be a template: it is one of the team's standing phrases.
            yield {"messages": [
                {**turn, "content": spec.render(spec.render(turn["content"], **context), **context)}
                for turn in kind["messages"]
            ]}  # fmt: skip
        else:
            yield {"text": spec.render(kind["text"], **context).strip()}


def _any_status(chooser):
    return {"status": chooser.choice(["preparing", "on the way", "delivered"])}


def _draw_kinds(spec, count, seed):
    """Names of kinds, each with its exact share of `count`, shuffled."""
    total = sum(kind["share"] for kind in spec.kinds.values())
    names = [name for name, kind in spec.kinds.items() for _ in range(round(kind["share"] / total * count))]
    random.Random(seed).shuffle(names)
    return names


def episodes(spec, count, seed):
    """Yield training episodes, {"messages": [...]}, each with its own revision of the handbook."""
    for number, name in enumerate(_draw_kinds(spec, count, f"{seed}/episodes")):
        kind = spec.kinds[name]
        scenario = Scenario(spec, "train", (seed, "episode", number), order=kind.get("order"))
        database = open_database(spec.schema + "\n".join(scenario.rows(1)))
        environment = Environment(database, spec.tools, {"customer_id": 1})
        steps, _ = play(spec, scenario, kind, environment)
        message = scenario.message(kind["topic"], kind.get("attack", False))
        yield {"messages": react.messages(message, steps)}


def knowledge_base(spec, seed):
    """The handbook with the figures in force: {file name: text}."""
    scenario = Scenario(spec, "heldout", (seed, "handbook"), figures=spec.figures)
    return {page: scenario.article(page, scenario.note()) + "\n" for page in spec.articles}


def tasks(spec, count, seed):
    """Held-out tasks and the database they start from: (list of tasks, SQL script)."""
    found, rows = [], []
    for number, name in enumerate(_draw_kinds(spec, count, f"{seed}/tasks")):
        kind, customer_id = spec.kinds[name], 2 * number + 1
        scenario = Scenario(spec, "heldout", (seed, "task", number), spec.figures, kind.get("order"))
        statements = scenario.rows(customer_id)
        rows += statements
        environment = Environment(open_database(spec.schema + "\n".join(statements)), spec.tools, {"customer_id": customer_id})
        before = environment.dump()
        steps, facts = play(spec, scenario, kind, environment)
        pages = [step["finds"] for step in steps if step.get("finds")]
        order = scenario.order
        found.append({
            "id": f"{name}-{number:03d}",
            "kind": name,
            "message": scenario.message(kind["topic"], kind.get("attack", False)),
            "session": {"customer_id": customer_id},
            "kb": pages,
            "turns_on_kb": any("figures." in spec.articles[page] for page in pages),
            "expect": {"database": environment.changes(before), "answer": facts},
            "solution": [{k: v for k, v in step.items() if k in ("thought", "call", "arguments", "answer")} for step in steps],
            "entities": [order["id"], order["dish"], order["street"], scenario.person],
        })  # fmt: skip
    return found, spec.schema + "\n" + "\n".join(rows) + "\n"
