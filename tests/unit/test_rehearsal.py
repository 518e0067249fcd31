"""Tasks are played at preparation: what the database makes of them is what is expected."""

import pytest
from prepare_tasks import prepare_tasks

from specialist.agent.database import dump, open_database
from specialist.core.errors import UserError
from specialist.data.clocks import NextDay, next_day
from toy_dataset import jsonl

ADD = """
- name: add
  description: Add a note.
  parameters:
    type: object
    properties: {text: {type: string}}
    required: [text]
  sql: INSERT INTO notes (text) VALUES (:text)
  returns: SELECT max(id) AS id FROM notes
"""
LABEL = """
- name: add
  description: Add some notes, unless one has the text already.
  parameters:
    type: object
    properties:
      text: {type: array, items: {type: string, enum: ["9:30", "yes"]}}
    required: [text]
  require:
    - sql: SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM json_each(:text) JOIN notes ON text = value)
      otherwise: there is one
  sql: |
    INSERT INTO notes (text) SELECT value FROM json_each(:text);
    UPDATE notes SET text = text || '!' WHERE id = 1;
  returns: SELECT max(id) AS id FROM notes
"""
PLAIN = (
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT{}); INSERT INTO notes VALUES (1, 'a'{});"
)


def suite(added, text="b", removed=(), solved=True):
    task = {
        "id": "a",
        "message": "Please do it.",
        "expect": {"database": {"notes": {"removed": removed, "added": added}}, "answer": ["2"]},
        "solution": [
            {"thought": "t", "call": "add", "arguments": {"text": text}},
            {"thought": "t", "answer": "It is number 2."},
        ],
    }
    if not solved:
        del task["solution"]
    return task


@pytest.fixture
def prepare(tmp_path):
    """Function that prepares one task and gives nothing, or the message it is refused with."""

    def prepared(task, database, tools=ADD, articles=()):
        tasks = task if isinstance(task, list) else [task]
        for name, text in (("s.jsonl", jsonl(*tasks)), ("t.yaml", tools), ("d.sql", database)):
            (tmp_path / name).write_text(text)
        paths = [tmp_path / name for name in ("s.jsonl", "t.yaml", "d.sql", "out.jsonl")]
        paths[3].unlink(missing_ok=True)
        try:
            prepare_tasks(
                paths[:1],
                *paths[1:],
                articles=list(articles),
                max_steps=8,
                context=1024,
                max_messages=12,
            )
        except UserError as error:
            assert not paths[3].exists()
            return str(error)
        assert len(paths[3].read_text().splitlines()) == len(tasks)
        return None

    return prepared


CLOCKS = [
    "TEXT DEFAULT CURRENT_TIMESTAMP",
    "TEXT DEFAULT CURRENT_DATE",
    "TEXT DEFAULT (datetime('now', '+1 day'))",
    "TEXT DEFAULT (strftime('%s'))",
    "REAL DEFAULT (julianday())",
    "INTEGER DEFAULT (random())",
    "BLOB DEFAULT (randomblob(8))",
]


@pytest.mark.parametrize("column", CLOCKS)
def test_a_column_that_differs_from_run_to_run_is_left_out(prepare, column):
    database = PLAIN.format(f", made {column}", ", 'then'")
    assert prepare(suite([{"id": 2, "text": "b"}]), database) is None
    assert prepare(suite([{"id": 2, "text": "b"}], solved=False), database) is None
    told = prepare(suite([{"id": 2, "text": "b", "made": "2026-11-28"}]), database)
    assert "expect.database.notes.added[0].made: its value differs from run to run" in told
    assert "leave it out of all rows of notes" in told
    assert "all columns" in prepare(suite([{"id": 2}]), database)


def test_a_column_of_the_first_rows_too(prepare):
    database = PLAIN.format(", made TEXT", ", datetime('now')")
    task = suite([{"id": 2, "text": "b"}], removed=[{"id": 1, "text": "a"}])
    assert "expect.database.notes.removed: expected" in prepare(task, database)
    tools = ADD.replace("VALUES (:text)", "VALUES (:text); DELETE FROM notes WHERE id = 1")
    assert prepare(task, database, tools) is None
    task["expect"]["database"]["notes"]["removed"][0]["made"] = "x"
    assert "removed[0].made: its value differs" in prepare(task, database, tools)


@pytest.mark.parametrize("column", ["TEXT DEFAULT 'x'", "TEXT DEFAULT (date('2026-01-01'))"])
def test_a_column_with_a_fixed_value_is_compared(prepare, column):
    database = PLAIN.format(f", made {column}", ", 'then'")
    told = prepare(suite([{"id": 2, "text": "b", "made": "?"}]), database)
    value = "x" if "'x'" in column else "2026-01-01"
    assert f'notes.added.made: expected "?", found "{value}" after the solution' in told
    assert prepare(suite([{"id": 2, "text": "b", "made": value}]), database) is None


def test_rows_that_contradict_each_other_or_the_table_are_refused(prepare):
    database, one = PLAIN.format("", ""), {"id": 1, "text": "a"}
    changed = suite([{"id": 1, "text": "b"}], removed=[one], solved=False)
    assert prepare(changed, database) is None
    told = prepare(suite([{"id": 1, "text": "b"}], solved=False), database)
    assert "notes.added: the table cannot hold" in told and "UNIQUE constraint failed" in told
    told = prepare(suite([], removed=[one, one], solved=False), database)
    assert "removed[1]: found this row more often than the database holds it" in told
    told = prepare(suite([one], removed=[one], solved=False), database)
    assert 'notes.added: expected {"id": 1, "text": "a"}, which does not happen' in told
    blob = PLAIN.format(", data", ", x'ff'")
    row = {"id": 1, "text": "a", "data": "ff"}
    assert prepare(suite([{**row, "text": "b"}], removed=[row], solved=False), blob) is None


@pytest.mark.parametrize("kind", ["VIRTUAL", "STORED"])
def test_a_generated_column_is_a_column_as_others(prepare, kind):
    database = PLAIN.format(f", size AS (length(text)) {kind}", "")
    database = database.replace("INTO notes", "INTO notes (id, text)")
    for solved in (True, False):
        whole = suite([{"id": 2, "text": "b", "size": 1}], solved=solved)
        assert prepare(whole, database) is None
        told = prepare(suite([{"id": 2, "text": "b"}], solved=solved), database)
        assert (
            "found id, text, expected all columns of the table and no other: id, text, size" in told
        )
        told = prepare(suite([{"id": 2, "text": "b", "size": 3}], solved=solved), database)
        assert "notes.added.size: expected 3, found 1" in told


@pytest.mark.parametrize(
    ("constraint", "row", "why"),
    [
        ("CHECK (text IN ('a', 'b'))", {"id": 2, "text": "c"}, "CHECK constraint failed"),
        ("NOT NULL", {"id": 2, "text": None}, "NOT NULL constraint failed: notes.text"),
        ("", {"id": 2, "text": 5}, 'notes.added.text: expected 5, found "5" when the table holds'),
    ],
)
def test_rows_that_the_table_cannot_hold_need_no_solution(prepare, constraint, row, why):
    database = PLAIN.format("", "").replace("text TEXT", f"text TEXT {constraint}")
    assert why in prepare(suite([row], solved=False), database)
    assert prepare(suite([{"id": 2, "text": "b"}], solved=False), database) is None


def test_lists_guards_and_several_statements(prepare):
    added = [{"id": 1, "text": "a!"}, {"id": 2, "text": "9:30"}, {"id": 3, "text": "yes"}]
    task = suite(added, ["9:30", "yes"], [{"id": 1, "text": "a"}])
    assert prepare(task, PLAIN.format("", ""), LABEL) is None
    task["solution"].insert(1, task["solution"][0])
    assert prepare(task, PLAIN.format("", ""), LABEL) is None  # the second call is refused
    task["solution"][:2] = [{**task["solution"][0], "arguments": {"text": ["no"]}}]
    assert "arguments.text[0]: 'no' is not one of" in prepare(task, PLAIN.format("", ""), LABEL)
    held = PLAIN.format("", "").replace("'a'", "'yes'")
    task["solution"][0]["arguments"] = {"text": ["yes"]}
    task["expect"]["database"]["notes"]["removed"] = []
    told = prepare(task, held, LABEL)
    assert "(solution[0] was refused: there is one)" in told


def test_connection_state_holds_while_a_task_is_played(prepare):
    script = "CREATE TABLE words (text PRIMARY KEY); INSERT INTO words VALUES ('a');"
    script += PLAIN.format(" REFERENCES words (text)", "")
    task = suite([{"id": 2, "text": "b"}])
    assert prepare(task, script) is None
    told = prepare(task, "PRAGMA foreign_keys = ON;" + script)
    assert "(solution[0] was refused: FOREIGN KEY constraint failed)" in told


def test_the_next_day_is_a_day_ahead_and_nothing_else_changes():
    values = "date('now'), date('2026-02-28', '+1 day'), strftime('%Y', 0), CURRENT_TIME"
    script = f"CREATE TABLE t (a, b, c, d); INSERT INTO t VALUES ({values})"
    today = open_database(script)
    tomorrow = next_day(today, [])
    assert isinstance(tomorrow, NextDay)
    assert isinstance(tomorrow.copy(), NextDay)
    [here], [there] = dump(today)["t"], dump(tomorrow)["t"]
    assert here["a"] < there["a"]
    assert here["d"] != there["d"]
    assert (here["b"], here["c"]) == (there["b"], there["c"])
    assert (
        next_day(open_database("CREATE TABLE dates (updated); UPDATE dates SET updated = 1"), [])
        is None
    )


def labels(*pairs):
    return [
        {"id": str(number), "message": message, "expect": {"answer": [label]}}
        for number, (message, label) in enumerate(pairs)
    ]


def test_label_may_stand_in_the_message_but_not_in_all(prepare):
    tasks = labels(("I want a refund.", "refund"), ("Where is it?", "delivery"))
    assert prepare(tasks, "", "[]") is None
    told = prepare(tasks, "", "[]", articles=["a.md"])
    assert "expect.answer: the message already contains all of it" in told
    tasks = labels(("I want a refund.", "refund"), ("No delivery yet?", "delivery"))
    assert "s.jsonl: repeating the message solves all tasks" in prepare(tasks, "", "[]")


def test_suite_with_one_answer_for_all_is_refused(prepare):
    tasks = labels(("One?", "9"), ("Two?", "9"), ("Three?", "9"))
    told = prepare(tasks, "", "[]", articles=["a.md"])
    assert 's.jsonl: the answer "9" solves all 3 tasks; add tasks with another answer' in told
    assert prepare([*tasks[:2], {**tasks[2], "expect": {"answer": ["8"]}}], "", "[]") is None
    solved = {"solution": [{"thought": "t", "answer": "It is 8 or 9."}]}
    both = labels(("One?", "9"), ("Two?", "8"))
    assert 'answer "It is 8 or 9."' in prepare([both[0] | solved, both[1]], "", "[]")


def test_suite_with_the_same_calls_for_all_is_refused(prepare):
    database = PLAIN.format("", "")
    tasks = [suite([{"id": 2, "text": "b"}]) | {"id": i, "message": f"Do it {i}."} for i in "aç"]
    told = prepare(tasks, database)
    assert 'the answer "2" after the calls of the first solution solves all 2 tasks' in told
    other = suite([{"id": 2, "text": "c"}], text="c") | {"id": "c", "message": "Do c."}
    assert prepare([*tasks, other], database) is None
