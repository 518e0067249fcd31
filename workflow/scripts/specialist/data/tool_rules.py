"""Checks of the rules in tools.yaml; see `specialist.agent.rules`."""

import jsonschema

from specialist.agent.rules import claims
from specialist.core.patterns import found, problem
from specialist.core.schema_errors import near

TEXTS = ("string", "integer", "number")  # types of values that a customer can say


def check_rules(tools, path, mistakes):
    """Note what is wrong with the rules of all tools.

    Args:
        tools: {name: entry of tools.yaml}; all fit the schema.
    """
    for name, tool in tools.items():
        _check_patterns(tool, mistakes, f"{path}, tool {name}")
        _check_said(tool, mistakes, f"{path}, tool {name}")
    _check_fallback(tools, path, mistakes)


def _check_patterns(tool, mistakes, place):
    given = [(("claims", number), text) for number, text in enumerate(tool.get("claims", []))]
    if isinstance(tool.get("confirm"), dict):
        given.append((("confirm", "yes"), tool["confirm"]["yes"]))
    for where, pattern in given:
        if text := problem(pattern):
            mistakes.add(place, *where, text=text)
        elif found(pattern, ""):
            text = f"found {pattern!r}, which matches every text; write words that it must match"
            mistakes.add(place, *where, text=text)


def _check_said(tool, mistakes, place):
    properties = tool["parameters"]["properties"]
    for number, name in enumerate(tool.get("said", [])):
        where = ("said", number)
        if name not in properties:
            expected = f"expected the name of a parameter{near(name, properties)}"
            mistakes.add(place, *where, text=f"found {name}, {expected}")
        elif properties[name]["type"] not in TEXTS:
            text = f"found {name}, which is of the type {properties[name]['type']}, expected "
            text += f"a parameter of the type {', '.join(TEXTS)}; remove it"
            mistakes.add(place, *where, text=text)


def _check_fallback(tools, path, mistakes):
    owners = [name for name, tool in tools.items() if "fallback" in tool]
    for name in owners[1:]:
        text = f"the tool {owners[0]} has a fallback too, expected one; remove one of them"
        mistakes.add(f"{path}, tool {name}", "fallback", text=text)
    for name in owners[:1]:
        place, fallback = f"{path}, tool {name}", tools[name]["fallback"]
        form = {**tools[name]["parameters"], "additionalProperties": False}
        for error in jsonschema.Draft202012Validator(form).iter_errors(fallback["arguments"]):
            where = ("fallback", "arguments", *error.absolute_path)
            mistakes.add(place, *where, text=f"{error.message}; the tool {name} cannot take it")
        answer = fallback["answer"]
        patterns = [pattern for tool in tools.values() for pattern in tool.get("claims", [])]
        if any(map(problem, patterns)) or claims(tools[name], answer):
            continue  # what cannot be read was noted
        if other := next((other for other, tool in tools.items() if claims(tool, answer)), None):
            text = f"this claims what the tool {other} does, which the fallback does not call; "
            mistakes.add(place, "fallback", "answer", text=text + "write it without that claim")
