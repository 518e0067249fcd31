"""Scenarios drawn from a spec.

A scenario is one customer, one case (an order, say) and one revision of the handbook.
"""

import random
import re
import zlib


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
            self.any, self.article, self.between, self.entity, self.line, self.message, self.note,
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
        value = self.spec.render(str(template), **self.context | context)
        return int(value) if value.isdigit() else value

    def values(self, templates):
        """Fields that are as these templates say, by name, each seeing those before it."""
        found = {}
        for name, template in templates.items():
            found[name] = self._value(template, case=self.case | found)
        return found

    def names(self):
        """The names and identifiers of the case."""
        return [self.case[field] for field in self.spec.world["names"]]

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
        text = self.any(self.spec.phrasings(self.split, topic))
        text = re.sub(r"\[([^]]*)\]", lambda m: self.any(m[1].split("|")), text)
        slots = {**self.case, **values}
        return re.sub(r"\{(\w+)\}", lambda m: str(slots[m[1]]), text)

    def line(self, topic, **values):
        """One phrasing of a topic as a message."""
        return capitalised(self.say(topic, **values))

    def message(self, topic, attack=False):
        """What the customer writes."""
        parts = [self.say("opening"), self.say(topic)]
        if attack:
            parts.append(self.say("attack", percent=self.between(80, 100)))
        parts.append(self.say("closing"))
        text = " ".join(part for part in parts if part)
        return capitalised(text)

    def article(self, page, note=""):
        return self.spec.render(self.spec.articles[page], figures=self.figures, note=note).strip()

    def note(self):
        """An instruction that does not belong in an article."""
        return self.say("note", percent=self.between(80, 100))

    def words(self, count):
        """Words and numbers of the entities; a model can only copy them.

        They are in the reverse order of the entities. Otherwise two could form a value of a
        pattern by chance, which only tasks may use.
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

        The tools' guards therefore use exactly the figures of the handbook.
        """
        table = self.spec.world.get("policy")
        return [
            _insert(f"{table} (page, {', '.join(figures)})", page, *figures.values())
            for page, figures in self.figures.items()
            if table
        ]

    def rows(self, customer_id, known=False):
        """SQL that adds this scenario's case to the database, and the customer unless known."""
        skipped = self.spec.world["customer"] if known else ()
        rows = [
            (table, row)
            for entry in self.spec.world["rows"]
            for table, row in entry.items()
            if table not in skipped
        ]
        return [
            _insert(table, *(self._value(cell, customer_id=customer_id) for cell in row))
            for table, row in rows
        ]


def capitalised(text):
    """Text whose sentences start with a capital letter."""
    return re.sub(r"(^|[.!?] )([a-z])", lambda m: m[1] + m[2].upper(), text)


def _insert(table, *row):
    values = ", ".join(
        str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
        for value in row
    )
    return f"INSERT INTO {table} VALUES ({values});"
