"""Checks of a suite of tasks."""

import json

import jsonschema

from specialist.agent.environment import SEARCH, dump
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
        _fill(task, schema("task"))
        task["message"] = check_text(task["message"], mistakes, place, "message")
        others = {key: value for key, value in task.items() if key != "message"}
        check_text(json.dumps(others, ensure_ascii=False), mistakes, place)
        if (other := ids.setdefault(task["id"], place)) != place:
            mistakes.add(place, "id", text=f"{task['id']} is the id of {other} too; rename it")
        found.append((place, task))
    if not found and not mistakes.found:
        mistakes.add(path, text="there are no tasks; write one JSON object on each line")
    return found


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


def check_tasks(tasks, tools, database, articles, mistakes):
    """Note what tasks name that is not there: articles, tables, rows, tools, arguments.

    Args:
        tasks: list of (place, task).
        tools: what `read_tools` returned.
        database: the database that every task starts from.
        articles: names of the files of the knowledge base.
    """
    before = dump(database)
    rows = {table: {_key(row) for row in rows} for table, rows in before.items()}
    names = "SELECT name FROM pragma_table_info(?)"
    columns = {table: [name for (name,) in database.execute(names, [table])] for table in before}
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
        for table, change in task["expect"]["database"].items():
            path = ("expect", "database", table)
            if table not in columns:
                known = f"expected one of {', '.join(columns)}{near(table, columns)}"
                known = known if columns else "there is no database.sql with tables"
                mistakes.add(place, *path, text=f"unknown table, {known}")
                continue
            changed = [(side, *pair) for side in change for pair in enumerate(change[side])]
            for side, number, row in changed:
                where = (*path, side, number)
                if row.keys() != set(columns[table]):
                    expected = f"all columns of the table and no other: {', '.join(columns[table])}"
                    mistakes.add(place, *where, text=f"found {', '.join(row)}, expected {expected}")
                elif side == "removed" and _key(row) not in rows[table]:
                    mistakes.add(
                        place,
                        *where,
                        text=f"found {json.dumps(row)}, expected a row that the database holds "
                        "before the task",
                    )
        _check_solution(task.get("solution", []), tools, mistakes, place)


def _key(row):
    return json.dumps(row, sort_keys=True)


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
            for error in jsonschema.Draft202012Validator(form).iter_errors(step["arguments"]):
                text = f"{error.message}; the tool {step['call']} cannot take it"
                mistakes.add(place, *path, "arguments", *error.absolute_path, text=text)
