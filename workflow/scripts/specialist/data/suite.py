"""Checks of a suite of tasks."""

import json
import math

from specialist.agent.environment import SEARCH
from specialist.core.json_schema import Validator
from specialist.core.schema_errors import near
from specialist.data.formats import check_text
from specialist.data.json_rows import read_jsonl
from specialist.data.toolbox import fits, schema


def read_tasks(path, mistakes):
    """Tasks that fit their schema, with its defaults: list of (place, task)."""
    found, ids = [], {}
    for place, task in read_jsonl(path, mistakes):
        if not fits(task, "task", mistakes, place):
            continue
        _check_numbers(task, mistakes, place)
        _fill(task, schema("task"))
        task["message"] = check_text(task["message"], mistakes, place, "message")
        others = {key: value for key, value in task.items() if key != "message"}
        check_text(json.dumps(others, ensure_ascii=False), mistakes, place)
        if (other := ids.setdefault(task["id"], place)) != place:
            mistakes.add(place, "id", text=f"{task['id']} is the id of {other} too; rename it")
        found.append((place, task))
    if not found and not mistakes.found:
        mistakes.add(path, text="found no tasks, expected one JSON object on each line; add tasks")
    return found


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
    """Note what tasks name that is not there: articles, tables, tools, arguments.

    Args:
        tasks: list of (place, task).
        tools: what `read_tools` returned.
        tables: names of the database's tables.
        articles: names of the files of the knowledge base.
    """
    needed = {name: tool for tool, (_, names) in tools.items() for name in names}
    for place, task in tasks:
        for number, name in enumerate(task["kb"]):
            if name not in articles:
                expected = f"the file name of an article{near(name, articles)}"
                expected += "" if articles else "; kb/ has none"
                mistakes.add(place, "kb", number, text=f"found {name}, expected {expected}")
        for name in sorted(needed.keys() - task["session"].keys()):
            text = f"is missing, the tool {needed[name]} takes it; add it"
            mistakes.add(place, "session", name, text=text)
        for table in task["expect"]["database"]:
            if table not in tables:
                known = f"expected one of {', '.join(tables)}{near(table, tables)}"
                known = known if tables else "there is no database.sql with tables"
                text = f"unknown table, {known}"
                mistakes.add(place, "expect", "database", table, text=text)
        _check_solution(task.get("solution", []), tools, mistakes, place)


def _check_solution(steps, tools, mistakes, place):
    known = {SEARCH["name"]: SEARCH, **{name: tool for name, (tool, _) in tools.items()}}
    for number, step in enumerate(steps):
        path = ("solution", number)
        last = number == len(steps) - 1
        if ("answer" in step) != last or ("call" in step) == last:
            expected = (
                "answer, as it is the last step" if last else "call, and only the last step answers"
            )
            mistakes.add(place, *path, text=f"found {', '.join(step)}, expected {expected}")
        elif not last and step["call"] not in known:
            expected = f"one of {', '.join(known)}{near(step['call'], known)}"
            text = f"found the unknown tool {step['call']}, expected {expected}"
            mistakes.add(place, *path, "call", text=text)
        elif not last:
            form = {**known[step["call"]]["parameters"], "additionalProperties": False}
            for error in Validator(form).iter_errors(step["arguments"]):
                text = f"{error.message}; the tool {step['call']} cannot take it"
                mistakes.add(place, *path, "arguments", *error.absolute_path, text=text)
