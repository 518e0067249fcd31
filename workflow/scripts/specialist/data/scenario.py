"""The files of a spec (resources/datasets/*), and scenarios drawn from it.

A scenario is one customer, one case (an order, say) and one revision of the handbook.
"""

import json
import random
import re
import zlib
from functools import cached_property
from pathlib import Path

import jinja2.sandbox
import yaml

from specialist.core.errors import UserError
from specialist.core.yaml_words import misread

PARTS = ("world", "figures", "procedures", "kinds", "corpus", "labels", "tools")


class Spec:
    """The files of a spec, each read when it is first needed, and its templates compiled once.

    Args:
        folder: the spec's folder.
        files: the files that may be read, or None for all of the folder.
        heldout: the sayings that tasks are written in.
    """

    def __init__(self, folder, files=None, heldout="heldout"):
        self.folder, self.heldout = Path(folder), heldout
        paths = sorted(map(Path, files or self.folder.rglob("*")))
        self._paths = {path.relative_to(self.folder).as_posix(): path for path in paths}
        self.templates = jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined)
        self._compiled, self._sayings = {}, {}

    @classmethod
    def of(cls, files):
        """The spec that `files` are part of, world.yaml among them; no other file is read."""
        folder = next(path.parent for path in files if path.name == "world.yaml")
        sayings = {path.stem for path in files if path.parent.name == "sayings"} - {"train"}
        return cls(folder, files, *sayings)

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
        # The C parser: phrasings are many, and the pure one takes seconds for them.
        loader = yaml.CSafeLoader(self._read(name))
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            if wrong := [*misread(root, text=True)]:
                raise UserError("\n".join(f"{self.folder / name}:{n}: {text}" for n, text in wrong))
            return loader.construct_document(root)
        except yaml.YAMLError as error:
            raise UserError(f"{self.folder / name}: this is not YAML: {error}") from error
        finally:
            loader.dispose()

    def sayings(self, split):
        """How customers say things, by topic, on one side of the split: "train" or "heldout"."""
        if split not in self._sayings:
            name = self.heldout if split == "heldout" else split
            self._sayings[split] = self._load(f"sayings/{name}.yaml")
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
        """What customers write about."""
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
    """One customer, one case, one revision of the handbook.

    Args:
        spec: the spec.
        split: "train" or "heldout": which entities and phrasings may be drawn.
        key: what seeds this scenario, for example (seed, "task", 17).
        figures: the figures in force, or None to draw a revision.
        case: the kind's overrides of the case's fields.
        taken: values of entities that other scenarios have, and this one must not.
    """

    def __init__(self, spec, split, key, figures=None, case=None, taken=()):
        self.spec, self.split, self.taken = spec, split, taken
        self.random = random.Random("/".join(map(str, key)))
        self.figures = figures or {
            page: {name: self.between(*span) for name, span in spans.items()}
            for page, spans in spec.world["revisions"].items()
        }
        self.case = {}
        functions = (
            self.any, self.article, self.between, self.entity, self.message, self.note,
            self.receipt, self.shuffled, self.words,
        )  # fmt: skip
        # What every template may use.
        self.context = {"case": self.case, "figures": self.figures}
        self.context |= {function.__name__: function for function in functions}
        situation = {**spec.world["case"], **(case or {})}
        for name, template in [*situation.items(), *spec.world["details"].items()]:
            # Drawn even if the kind has set it, which leaves all later draws as they are.
            self.case.setdefault(name, self._value(template))

    def _value(self, template, **context):
        """The whole number or the text that a template gives."""
        value = self.spec.render(str(template), **self.context, **context)
        return int(value) if value.isdigit() else value

    def between(self, low, high):
        return self.random.randint(low, high)

    def any(self, values):
        return self.random.choice(list(values))

    def shuffled(self, values):
        return self.random.sample(list(values), len(values))

    def entity(self, name, *others):
        """A value of an entity from this scenario's side of the split, and none of `others`."""
        entry = self.spec.world["entities"][name]
        if "range" in entry:
            return self.between(*entry["range"])
        while True:
            if "pattern" in entry:
                value = re.sub(r"\{(\w+)\}|#", self._fill, entry["pattern"])
            else:
                value = self.any(entry["values"])
            mine = "heldout" not in entry or self._mine(value, entry["heldout"])
            if mine and value not in others and value not in self.taken:
                return value

    def _fill(self, place):
        return str(self.entity(place[1]) if place[1] else self.between(0, 9))

    def _mine(self, value, heldout):
        # A checksum splits the same way in every process, for every seed.
        return (zlib.crc32(value.encode()) % 1000 < heldout * 1000) == (self.split == "heldout")

    def say(self, topic, **values):
        """One phrasing of a topic, its alternatives chosen and its slots filled."""
        text = self.any(self.spec.sayings(self.split)[topic])
        text = re.sub(r"\[([^]]*)\]", lambda m: self.any(m[1].split("|")), text)
        slots = {**self.case, **values}
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

    def words(self, count):
        """Words and numbers of the entities; a model can only copy them.

        They stand against the order of the entities, so that no two make up a pattern's
        value by chance, which might be one that only tasks may use.
        """
        entities = self.spec.world["entities"]
        names = [name for name, entry in entities.items() if "pattern" not in entry]
        drawn = sorted((self.between(0, len(names) - 1) for _ in range(count)), reverse=True)
        return " ".join(str(self.entity(names[number])) for number in drawn)

    def receipt(self, lines):
        """Lines of identifiers, names and numbers."""
        kinds, render = self.spec.labels["receipt_lines"], self.spec.render
        drawn = ([render(line, **self.context) for line in kinds] for _ in range(lines))
        return "\n".join(map(self.any, drawn))

    def policy(self):
        """SQL that puts this scenario's figures into the database, a row for each page.

        So the tools' guards hold to the very figures that the handbook states.
        """
        table = self.spec.world.get("policy")
        return [
            _insert(f"{table} (page, {', '.join(figures)})", page, *figures.values())
            for page, figures in self.figures.items()
            if table
        ]

    def rows(self, customer_id):
        """SQL that adds this scenario's customer and case to the database."""
        rows = [(table, row) for entry in self.spec.world["rows"] for table, row in entry.items()]
        return [
            _insert(table, *(self._value(cell, customer_id=customer_id) for cell in row))
            for table, row in rows
        ]


def _insert(table, *row):
    values = ", ".join(
        str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
        for value in row
    )
    return f"INSERT INTO {table} VALUES ({values});"
