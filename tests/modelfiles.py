"""A reader of Modelfiles, and of the part of Go's template language that they are written in."""

import json
import re


def parse(modelfile):
    """[(instruction, value)] of a Modelfile."""
    form = r'(?m)^([A-Z]+) (?:"""([\s\S]*?)"""|(.*))$'
    assert not re.sub(form, "", modelfile).strip()
    return [(name, long or short) for name, long, short in re.findall(form, modelfile)]


def go_text(template, turns):
    """What a template of `go_template` writes, by a reader of just the actions that it has."""
    actions = re.findall(r"\{\{-? ?(.*?) ?\}\}", template)
    loop, end = actions.index("range .Messages"), actions.index("$before = .Role")
    before, text = "", ""
    for turn in turns:
        text += run(actions[loop + 1 : end], before, turn)
        before = turn["role"]
    return text + run(actions[end + 2 :], before, {})


def run(actions, before, turn):
    """The text of a list of actions; a stack holds (this branch is taken, one was taken)."""
    text, stack = "", []
    values = {"$before": before, ".Role": turn.get("role")}
    for action in actions:
        test = re.fullmatch(r'(else )?if eq (\S+) "(.*)"', action)
        if test:
            taken = stack.pop()[1] if test[1] else False
            holds = not taken and values[test[2]] == test[3]
            stack.append((holds, taken or holds))
        elif action == "end":
            stack.pop()
        elif all(here for here, _ in stack):
            text += turn["content"] if action == ".Content" else json.loads(action)
    return text
