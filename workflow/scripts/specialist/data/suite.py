"""Checks of a suite of tasks."""

import json
import math

from specialist.agent.customer import requests
from specialist.agent.environment import SEARCH
from specialist.core.json_schema import Validator
from specialist.core.schema_errors import describe, near
from specialist.data.customers import check_texts
from specialist.data.json_rows import read_jsonl
from specialist.data.toolbox import fits, schema

# Keys that belong to one form of task: one message, or a conversation.
MESSAGE = ("message", "kb", "expect", "solution", "unanswerable")
CONVERSATION = ("requests", "customer")


def read_tasks(path, mistakes):
    """Tasks that fit their schema, with its defaults: list of (place, task)."""
    found, ids = [], {}
    for place, task in read_jsonl(path, mistakes):
        right = _check_form(task, mistakes, place)
        if not fits(task, "task", mistakes, place) or not right:
            continue
        _check_numbers(task, mistakes, place)
        _complete(task)
        check_texts(task, mistakes, place)
        if (other := ids.setdefault(task["id"], place)) != place:
            mistakes.add(place, "id", text=f"{task['id']} is also the id of {other}; rename it")
        found.append((place, task))
    if not found and not mistakes.found:
        mistakes.add(path, text="found no tasks, expected one JSON object on each line; add tasks")
    return found


def _check_form(task, mistakes, place):
    """Note keys that do not go together, and those that the form of the task lacks."""
    properties = schema("task")["properties"]
    if "requests" not in task:
        missing = [key for key in ("message", "expect") if key not in task]
        for key in missing:
            mistakes.add(place, key, text=f"is missing, expected {describe(properties[key])}")
        if "customer" in task:
            text = "found a customer without `requests`; write the message as the first request"
            mistakes.add(place, "customer", text=text)
        return not missing and "customer" not in task
    found = [key for key in MESSAGE if key in task]
    for key in found:
        to = "`says` of the first request" if key == "message" else "the request that it belongs to"
        text = f"found {key} beside `requests`, expected one of the two; move it to {to}"
        mistakes.add(place, key, text=text)
    return not found


def _complete(task):
    """Set the defaults of a task in place."""
    whole = schema("task")["properties"]
    other = MESSAGE if "requests" in task else CONVERSATION
    _fill(task, {"properties": {key: whole[key] for key in whole if key not in other}})
    for request in task.get("requests", ()):
        _fill(request, whole["requests"]["items"])
    for request in requests(task):
        for step in request.get("solution", ()):
            if "call" in step:
                step.setdefault("arguments", {})


def _check_numbers(value, mistakes, place, *path):
    """Note numbers that JSON's standard or SQLite does not know."""
    if isinstance(value, (dict, list)):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            _check_numbers(child, mistakes, place, *path, key)
    elif isinstance(value, float) and not math.isfinite(value):
        mistakes.add(place, *path, text=f"found {value}, expected a finite number; change it")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        text = f"found {value}, expected a number of 64 bits, as SQLite holds; write it as text"
        mistakes.add(place, *path, text=text)


def _fill(value, part):
    """Set the defaults of a part of the schema in place."""
    for key, child in part.get("properties", {}).items():
        if key not in value and "default" in child:
            value[key] = json.loads(json.dumps(child["default"]))
        if isinstance(value.get(key), dict):
            _fill(value[key], child)
    if isinstance(part.get("additionalProperties"), dict):
        for child in value.values():
            if isinstance(child, dict):
                _fill(child, part["additionalProperties"])
    if "items" in part:
        for child in value:
            _fill(child, part["items"])


def check_tasks(tasks, tools, tables, articles, mistakes):
    """Note names in tasks that do not exist: articles, tables, tools, arguments.

    Args:
        tasks: list of (place, task).
        tools: what `read_tools` returned.
        tables: {name of a table: whether a tool changes it}.
        articles: names of the files of the knowledge base.
    """
    needed = {name: tool for tool, (_, names) in tools.items() for name in names}
    for place, task in tasks:
        for name in sorted(needed.keys() - task["session"].keys()):
            text = f"is missing, the tool {needed[name]} takes it; add it"
            mistakes.add(place, "session", name, text=text)
        for number, request in enumerate(requests(task)):
            spoken = "requests" in task
            here = mistakes.within("requests", number) if spoken else mistakes
            _check_names(request, articles, tables, here, place)
            _check_solution(request.get("solution", []), tools, spoken, here, place)


def _check_names(request, articles, tables, mistakes, place):
    for number, name in enumerate(request["kb"]):
        if name not in articles:
            expected = f"the file name of an article{near(name, articles)}"
            expected += "" if articles else "; kb/ has none"
            mistakes.add(place, "kb", number, text=f"found {name}, expected {expected}")
    for table in request["expect"]["database"]:
        path = ("expect", "database", table)
        if table not in tables:
            known = f"expected one of {', '.join(tables)}{near(table, tables)}"
            known = known if tables else "there is no database.sql with tables"
            mistakes.add(place, *path, text=f"unknown table, {known}")
        elif not tables[table]:
            text = "no tool of tools.yaml changes this table, so no agent can fulfil the request"
            mistakes.add(place, *path, text=f"{text}; add a tool, or remove the table here")


def _check_solution(steps, tools, several, mistakes, place):
    """Note steps that are neither calls nor answers, and calls that their tool cannot take.

    Args:
        several: whether a step before the last may answer.
    """
    known = {SEARCH["name"]: SEARCH, **{name: tool for name, (tool, _) in tools.items()}}
    for number, step in enumerate(steps):
        path, last = ("solution", number), number == len(steps) - 1
        kinds = [kind for kind in ("call", "answer") if kind in step]
        allowed = ["answer"] if last else ["call", "answer"] if several else ["call"]
        if len(kinds) != 1 or kinds[0] not in allowed:
            expected = (
                "answer, as it is the last step"
                if last
                else "call or answer"
                if several
                else "call, and only the last step answers"
            )
            mistakes.add(place, *path, text=f"found {', '.join(step)}, expected {expected}")
        elif kinds == ["call"] and step["call"] not in known:
            expected = f"one of {', '.join(known)}{near(step['call'], known)}"
            text = f"found the unknown tool {step['call']}, expected {expected}"
            mistakes.add(place, *path, "call", text=text)
        elif kinds == ["call"]:
            form = {**known[step["call"]]["parameters"], "additionalProperties": False}
            for error in Validator(form).iter_errors(step["arguments"]):
                text = f"{error.message}; the tool {step['call']} cannot take it"
                mistakes.add(place, *path, "arguments", *error.absolute_path, text=text)
