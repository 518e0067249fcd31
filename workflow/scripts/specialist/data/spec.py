"""The files of a spec (resources/datasets/*)."""

import json
import re
from functools import cached_property
from pathlib import Path

import jinja2.sandbox
import yaml

from specialist.core.errors import UserError

PARTS = ("world", "figures", "procedures", "kinds", "conversations", "corpus", "labels", "tools")


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
        sayings = {path.stem for path in files if path.parent.name == "sayings"}
        return cls(folder, files, *(sayings - {"train", "heldout"}))

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
        """How customers say things, by topic, on one side of the split: "train" or "heldout".

        Topics that another file of held-out sayings lacks are those of heldout.yaml.
        """
        if split not in self._sayings:
            names = [split] if split == "train" else dict.fromkeys(("heldout", self.heldout))
            files = [f"sayings/{name}.yaml" for name in names]
            merged = {}
            for file in (name for name in files if name in self._paths):
                merged |= self._load(file)
            self._sayings[split] = {
                topic: self._derived(merged, given) if isinstance(given, dict) else given
                for topic, given in merged.items()
            }
        return self._sayings[split]

    def _derived(self, sayings, given):
        """Phrasings without an identifier, from those of another topic that name it, and more.

        Args:
            sayings: all topics.
            given: {"like": a topic, "names": words in place of its identifiers, "more":
                phrasings, about half as likely}.
        """
        field = self.world["names"][0]
        words = f"[{'|'.join(given['names'])}]"
        # `my order number FD12345`; `it was cold, order FD12345`; `FD12345: it was cold`.
        named = rf"(\b(my|our|the|your) )?(\b({field}|delivery|number|no\.|nr\.) )*\{{{field}\}}"
        apart = re.compile(rf"^{named}: |, {named}(?=[.!?]?$)")
        texts = [apart.sub("", text) for text in sayings[given["like"]]]
        more = given["more"] * max(1, len(texts) // (2 * len(given["more"])))
        return [*more, *(re.sub(named, words, text) for text in texts)]

    def phrasings(self, split, topic):
        """The phrasings of a topic, on one side of the split.

        Raises:
            UserError: there are none.
        """
        found = self.sayings(split).get(topic)
        if not found:
            name = self.heldout if split == "heldout" else split
            raise UserError(
                f"{self.folder / 'sayings' / name}.yaml: found no phrasings of {topic}, expected "
                "a list of them; add the topic, or remove what uses it from conversations.yaml"
            )
        return found

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
