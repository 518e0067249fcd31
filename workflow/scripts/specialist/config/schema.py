"""The JSON schema of the configuration, generated from the settings' classes."""

import copy
import functools

from pydantic.json_schema import GenerateJsonSchema

from specialist.config.settings.fields import LONGEST
from specialist.config.settings.run import Config


class _Schema(GenerateJsonSchema):
    """Leaves out what a reader of the schema does not need: titles, and null for "not set"."""

    def field_title_should_be_set(self, schema):
        return False

    def nullable_schema(self, schema):
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema):
        made = super().default_schema(schema)
        if made.get("default", 0) is None:
            del made["default"]
        return made


@functools.cache
def schema():
    """The schema as a dict without references. It is shared: copy it to change it."""
    tree = Config.model_json_schema(schema_generator=_Schema)
    definitions = tree.pop("$defs")

    def expand(node):
        if isinstance(node, list):
            return [expand(item) for item in node]
        if not isinstance(node, dict):
            return node
        if reference := node.get("$ref"):
            rest = {key: value for key, value in node.items() if key != "$ref"}
            return expand({**definitions[reference.rsplit("/", 1)[1]], **rest})
        node = {key: expand(value) for key, value in node.items() if key != "title"}
        if node.get("additionalProperties") is True:
            node["additionalProperties"] = {}
        # Names are checked by `propertyNames`, and each entry by `additionalProperties`.
        if patterns := node.pop("patternProperties", None):
            [(pattern, entry)] = patterns.items()
            node["propertyNames"] = {"type": "string", "pattern": pattern, "maxLength": LONGEST}
            node["additionalProperties"] = entry
        return node

    return expand(tree)


def part_at(tree, location):
    """The part of the schema that an error of pydantic is about.

    Args:
        tree: a schema without references.
        location: keys and, between them, names of pydantic's own, of a union or of a key.

    Returns:
        (the keys alone, as a tuple; the part, or that of the dict around a key that is wrong)
    """
    if location[-1] == "[key]":
        *location, key, _ = location
        place, part = part_at(tree, location)
        return (*place, key), part
    place, part = [], tree
    for step in location:
        if isinstance(step, int) and (items := _items(part)):
            place, part = [*place, step], items
        elif step in part.get("properties", {}):
            place, part = [*place, step], part["properties"][step]
        elif isinstance(part.get("additionalProperties"), dict):
            place, part = [*place, step], part["additionalProperties"]
        elif part.get("additionalProperties") is False:
            place = [*place, step]
    return tuple(place), part


def _items(part):
    options = [part, *part.get("anyOf", ())]
    return next((option["items"] for option in options if "items" in option), None)


def for_editors():
    """The schema with which editors complete and check config/*.yaml."""
    tree = copy.deepcopy(schema())
    # An overlay holds some keys alone, and null removes one.
    tree.pop("required")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration"}
    return head | tree
