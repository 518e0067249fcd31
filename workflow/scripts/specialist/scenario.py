"""What a spec (resources/datasets/*) is made of, and scenarios drawn from it.

A scenario is one customer, one order and one revision of the handbook.
"""

import json
import random
import re
import zlib
from functools import cached_property
from pathlib import Path

import jinja2.sandbox
import yaml

from specialist.environment import SEARCH
from specialist.step import UserError

PARTS = ("world", "figures", "procedures", "kinds", "corpus", "labels", "tools")
HELDOUT_IDENTIFIERS = 0.1  # share of the order numbers that only tasks may use


class Spec:
    """The files of a spec, each read when it is first needed, and its templates compiled once.

    Args:
        folder: the spec's folder.
        files: the files that may be read, or None for all of the folder.
    """

    def __init__(self, folder, files=None):
        self.folder = Path(folder)
        paths = sorted(map(Path, files or self.folder.rglob("*")))
        self._paths = {path.relative_to(self.folder).as_posix(): path for path in paths}
        self.templates = jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined)
        self._compiled, self._sayings = {}, {}

    @classmethod
    def of(cls, files):
        """The spec that `files` are part of, world.yaml among them; no other file is read."""
        return cls(next(path.parent for path in files if path.name == "world.yaml"), files)

    def _read(self, name):
        return self._paths[name].read_text(encoding="utf-8")

    def __getattr__(self, name):
        if name not in PARTS:
            raise AttributeError(name)
        value = self._load(f"{name}.yaml")
        if name == "figures":
            self._check_figures(value)
        setattr(self, name, value)
        return value

    def _load(self, name):
        try:
            # The C parser: phrasings are many, and the pure one takes seconds for them.
            return yaml.load(self._read(name), yaml.CSafeLoader)
        except yaml.YAMLError as error:
            raise UserError(f"{self.folder / name}: this is not YAML: {error}") from error

    def sayings(self, split):
        """How customers say things, by topic, on one side of the split: "train" or "heldout"."""
        if split not in self._sayings:
            self._sayings[split] = self._load(f"sayings/{split}.yaml")
        return self._sayings[split]

    def _check_figures(self, figures):
        for page, spans in self.world["revisions"].items():
            found = (figures or {}).get(page)
            whole = isinstance(found, dict) and all(type(n) is int for n in found.values())
            if not whole or found.keys() != spans.keys():
                raise UserError(
                    f"{self.folder / 'figures.yaml'}, {page}: found {json.dumps(found)}, "
                    f"expected a whole number for each of {', '.join(spans)}"
                )

    @cached_property
    def schema(self):
        """SQL of the database's tables."""
        return self._read("database.sql")

    @cached_property
    def articles(self):
        """The handbook's pages: {file name: template}."""
        pages = [name for name in self._paths if name.startswith("handbook/")]
        return {Path(name).name: self._read(name) for name in pages if name.endswith(".md")}

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
        taken: order numbers that other scenarios have.
    """

    def __init__(self, spec, split, key, figures=None, order=None, taken=()):
        self.spec, self.split, self.taken = spec, split, taken
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
        order["dish"] = order["other_dish"] = self.entity("dish")
        while order["other_dish"] == order["dish"]:
            order["other_dish"] = self.entity("dish")
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
            if self._mine(value, HELDOUT_IDENTIFIERS) and value not in self.taken:
                return value

    def _mine(self, value, heldout):
        # A checksum splits the same way in every process, for every seed.
        return (zlib.crc32(value.encode()) % 1000 < heldout * 1000) == (self.split == "heldout")

    def say(self, topic, **values):
        """One phrasing of a topic, its alternatives chosen and its slots filled."""
        text = self.any(self.spec.sayings(self.split)[topic])
        text = re.sub(r"\[([^]]*)\]", lambda m: self.any(m[1].split("|")), text)
        slots = {**self.order, **values, "order": self.order["id"], "person": self.person}
        return re.sub(r"\{(\w+)\}", lambda m: str(slots[m[1]]), text)

    def message(self, topic, attack=False):
        """What the customer writes."""
        parts = [self.say("opening"), self.say(topic)]
        if attack:
            parts.append(self.say("attack", percent=self.between(80, 100)))
        parts.append(self.say("closing"))
        text = " ".join(part for part in parts if part)
        return re.sub(r"(^|[.!?] )([a-z])", lambda m: m[1] + m[2].upper(), text)

    def article(self, page, note=""):
        return self.spec.render(self.spec.articles[page], figures=self.figures, note=note).strip()

    def note(self):
        """An instruction that has no business in an article."""
        return self.say("note", percent=self.between(80, 100))

    def context(self):
        """What the corpus's templates may use."""
        return {
            "order": self.order,
            "figures": self.figures,
            "person": self.person,
            "between": self.between,
            "any": self.any,
            "shuffled": self.shuffled,
            "message": self.message,
            "article": self.article,
            "receipt": self.receipt,
            "words": self.words,
            "note": self.note,
            "euros": euros,
            "example": self.example,
            "tools": [SEARCH, *self.spec.tools],
            "topics": self.spec.topics,
            **self.spec.labels,
        }

    def example(self, parameter):
        """A value that a tool's parameter could have, as JSON."""
        label = self.any(self.spec.labels["labels"].values())
        values = {
            "order_id": self.order["id"],
            "dish": self.order["dish"],
            "address": self.order["new_address"],
            "topic": label,
            "query": self.any(self.spec.labels["labels"].values()),
        }
        return json.dumps(values.get(parameter, self.between(5, 100)))

    def words(self, count):
        """Words and numbers of the entities in no order, which nothing but copying foretells."""
        entities = self.spec.world["entities"]
        names = [name for name, entry in entities.items() if "pattern" not in entry]
        return " ".join(str(self.entity(self.any(names))) for _ in range(count))

    def receipt(self, lines):
        """Lines of identifiers, dishes and addresses with amounts."""
        rows = []
        for _ in range(lines):
            order, amount = self._identifier(), euros(self.between(300, 9900))
            dish, price = self.entity("dish"), euros(self.between(300, 2900))
            address = f"{self.entity('door')} {self.entity('street')}"
            minutes, other, percent = (
                self.between(1, 180),
                self._identifier(),
                self.between(1, 100),
            )
            choices = [
                f"{order} {amount}",
                f"{dish} {price}",
                f"{address} {minutes} minutes",
                f"{other} {percent} percent",
            ]
            rows.append(self.any(choices))
        return "\n".join(rows)

    def rows(self, customer_id):
        """SQL that adds this scenario's customer and order to the database."""
        order = self.order
        owner = customer_id if order["owner"] == "customer" else customer_id + 1
        fields = (
            "status",
            "address",
            "total",
            "placed_ago",
            "late_minutes",
            "delivered_ago",
            "eta",
        )
        return [
            _insert("customers", customer_id, self.person),
            _insert("customers", customer_id + 1, self.entity("person")),
            _insert("orders", order["id"], owner, *(order[name] for name in fields), 0),
            _insert("items", order["id"], order["dish"], order["price"]),
            _insert("items", order["id"], order["other_dish"], order["total"] - order["price"]),
        ]


def euros(cents):
    return f"{cents / 100:.2f}"


def _insert(table, *row):
    values = ", ".join(
        str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
        for value in row
    )
    return f"INSERT INTO {table} VALUES ({values});"
