"""The agent's world withstands whatever the grammar lets a model write."""

import json

import pytest

from specialist.agent import react
from specialist.agent.database import BadScript, statements
from specialist.agent.environment import Environment, changes, dump, open_database
from specialist.agent.loop import Agent
from specialist.agent.policies import Policy, Turn

SCALE = {
    "name": "scale",
    "description": "Scale the customer's amount.",
    "parameters": {
        "type": "object",
        "properties": {"by": {"type": "number"}},
        "required": ["by"],
    },
    "sql": "UPDATE accounts SET amount = amount * :by WHERE customer = :customer",
    "returns": "SELECT amount FROM accounts WHERE customer = :customer",
}
COUNT = {
    "name": "count",
    "description": "Count.",
    "parameters": {
        "type": "object",
        "properties": {"to": {"type": "integer"}},
        "required": ["to"],
    },
    "sql": "UPDATE accounts SET amount = 0",
    "returns": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :to) "
    "SELECT max(i) AS n FROM n",
}
DATABASE = "CREATE TABLE accounts (customer, amount); INSERT INTO accounts VALUES (1, 5.0), (2, 7);"


@pytest.fixture
def database():
    return open_database(DATABASE)


@pytest.fixture
def environment(database):
    return Environment(database, [SCALE, COUNT], {"customer": 1})


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ('{"name": "scale", "arguments": {"by": 1e999}}', "1e999 is no finite number"),
        ('{"name": "scale", "arguments": {"by": NaN}}', "NaN is no finite number"),
        ('{"name": ["scale"], "arguments": {}}', "the name is no text"),
        (100000 * "[", "maximum recursion depth"),
    ],
)
def test_calls_that_json_cannot_hold_are_none(call, why):
    assert why in react.parse(f"{react.THOUGHT}so\n{react.ACTION}{call}")["error"]


def test_an_infinite_amount_can_be_written_down(database):
    class Twice(Policy):
        def begin(self, task, trial=0):
            self.turns = iter([*2 * [react.write_action("so", "scale", {"by": 1e300})], ""])

        def turn(self, messages):
            return Turn(next(self.turns))

    task = {"id": "a", "kind": "b", "message": "c", "session": {"customer": 1}}
    trace = Agent(Twice(), "system", [SCALE], 3).run(task, database, dump(database))
    assert json.loads(trace.lines()[0])["changes"] == {
        "accounts": {
            "removed": [{"customer": 1, "amount": 5.0}],
            "added": [{"customer": 1, "amount": "inf"}],
        }
    }


def test_a_call_works_so_long_and_then_changes_nothing(environment, database):
    before = dump(database)
    assert environment.call("count", {"to": 10**15})[1] == {"error": "interrupted"}
    assert changes(before, dump(database)) == {}
    assert environment.call("count", {"to": 10})[1] == {"n": 10}


def test_values_and_names_of_all_kinds_are_dumped():
    odd = open_database(
        """CREATE TABLE "a""b" (x); INSERT INTO "a""b" VALUES (x'ff00'), (9e999);
        CREATE TABLE sqlites (id INTEGER PRIMARY KEY AUTOINCREMENT);"""
    )
    assert dump(odd) == {'a"b': [{"x": "ff00"}, {"x": "inf"}], "sqlites": []}


def state(database):
    """What a connection's own settings and TEMP objects do."""
    return [
        database.execute(query).fetchall()
        for query in (
            "PRAGMA foreign_keys",
            "PRAGMA recursive_triggers",
            "PRAGMA encoding",
            "PRAGMA page_size",
            "SELECT 'A' LIKE 'a'",
            "SELECT name FROM sqlite_temp_master ORDER BY name",
        )
    ]


OWNERS = """
CREATE TABLE owners (id INTEGER PRIMARY KEY);
CREATE TABLE bikes (owner REFERENCES owners (id) ON DELETE CASCADE);
INSERT INTO owners VALUES (1), (2);
INSERT INTO bikes VALUES (1), (2);
"""


@pytest.mark.parametrize(
    ("script", "bikes"),
    [
        (OWNERS, [1, 2]),
        ("PRAGMA foreign_keys = ON;" + OWNERS, [2]),
        (OWNERS + "PRAGMA foreign_keys(1);", [2]),
        ("PRAGMA foreign_keys=1; BEGIN; PRAGMA foreign_keys=0;" + OWNERS + "COMMIT;", [2]),
        ("PRAGMA foreign_keys=1; PRAGMA foreign_keys=0;" + OWNERS, [1, 2]),
        (
            "PRAGMA case_sensitive_like=1; PRAGMA encoding='UTF-16be'; PRAGMA page_size=8192;"
            "PRAGMA recursive_triggers=1;" + OWNERS,
            [1, 2],
        ),
        (
            OWNERS + "CREATE TEMP TABLE gone (id);"
            "CREATE TEMP TRIGGER bye AFTER DELETE ON owners BEGIN"
            "  DELETE FROM bikes; INSERT INTO gone VALUES (old.id); END;",
            [],
        ),
    ],
)
def test_a_copy_behaves_as_if_the_script_had_run_on_it(script, bikes):
    original = open_database(script)
    for copy in (original.copy(), original.copy().copy()):
        assert state(copy) == state(original)
        assert dump(copy) == dump(original)
        copy.execute("DELETE FROM owners WHERE id = 1")
        assert [row["owner"] for row in dump(copy)["bikes"]] == bikes
        assert len(dump(original)["bikes"]) == 2
    if "TEMP" in script:
        assert copy.execute("SELECT id FROM gone").fetchall() == [(1,)]


def test_rows_of_temporary_tables_are_copied_and_restored():
    original = open_database(
        OWNERS
        + "CREATE TEMP TABLE gone (id INTEGER PRIMARY KEY AUTOINCREMENT, note, up AS (id + 1));"
        "CREATE TEMP TABLE pairs (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;"
        "CREATE TEMP TABLE log (_rowid_, x);"
        "INSERT INTO gone (note) VALUES ('first'), (x'ff');"
        "CREATE TEMP TRIGGER noted AFTER DELETE ON gone"
        " BEGIN INSERT INTO log VALUES (1, old.id); END;"
    )
    tables = ("gone", "pairs", "log", "sqlite_sequence")

    def rows(database):
        found = [database.execute(f"SELECT * FROM temp.{name}").fetchall() for name in tables]
        return [*found, dump(database)]

    used = original.copy()
    assert rows(used) == rows(original)
    used.execute("INSERT INTO gone (note) VALUES ('second')")
    used.execute("DELETE FROM gone WHERE id = 2")
    used.execute("INSERT INTO pairs VALUES (1, 2)")
    before, kept = used.copy(), rows(used)
    assert rows(before) == kept and kept[2] == [(1, 2)]
    used.execute("DELETE FROM gone")
    used.execute("DELETE FROM owners")
    used.restore(before)
    assert rows(used) == kept and state(used) == state(original)
    used.execute("DELETE FROM gone WHERE id = 1")  # the trigger is there again
    assert used.execute("SELECT x FROM log").fetchall() == [(2,), (1,)]
    used.restore(original)
    assert rows(used) == rows(original)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


@pytest.mark.parametrize(
    ("script", "line", "why"),
    [
        (
            "PRAGMA foreign_keys=OFF;\nBEGIN;\nCREATE TABLE t (x);\n",
            2,
            "opens a transaction that no statement ends",
        ),
        ("\n-- a comment;\n\n  SAVEPOINT a;", 4, "add COMMIT; at its end"),
        (f"SELECT 1;\n{ENDLESS}\nSELECT max(i) FROM n", 2, "more than 100,000,000 steps"),
        (
            "CREATE TABLE t (x);\nINSERT INTO t WITH RECURSIVE n(b) AS (SELECT zeroblob(9000)\n"
            "UNION ALL SELECT b FROM n) SELECT b FROM n;",
            2,
            "grows beyond 256 MiB",
        ),
        ("CREATE TABLE t (x);\nINSERT INTO t VALUES (zeroblob(1000000000));", 2, "too big"),
        ("PRAGMA writable_schema = ON;", 1, "PRAGMA writable_schema = ON, which a script must"),
        ("PRAGMA journal_mode = OFF;", 1, "PRAGMA journal_mode = OFF"),
        ("PRAGMA hard_heap_limit = 0;", 1, "PRAGMA hard_heap_limit = 0"),
        ("CREATE TABLE t (x);\nVACUUM INTO 'x.db'", 2, "remove this statement"),
        ("CREATE TABLE t (x);\n\nINSERT INTO t VALUES\n(1,\n2);", 3, "1 columns but 2 values"),
        (
            "CREATE TABLE t (x);\nCREATE TRIGGER a AFTER INSERT ON t BEGIN\n SELECT 1;\nEND;\n"
            "INSERT INTO t VALUES ('a;\n--b');\n/* ; */ SELECT nix FROM t;",
            7,
            "no such column: nix",
        ),
    ],
)
def test_a_script_that_makes_no_database_is_refused_with_its_line(script, line, why):
    with pytest.raises(BadScript) as refused:
        open_database(script)
    assert (refused.value.line, why.lower() in refused.value.reason.lower()) == (line, True), (
        refused.value
    )


def test_statements_are_those_of_sqlite():
    script = "a 'x;''y' ; ;-- b;\n [c;] \"d;\" /*;*/ e;\n\nf"
    assert list(statements(script)) == [
        (1, "a 'x;''y' ;"),
        (2, '[c;] "d;" /*;*/ e;'),
        (4, "f"),
    ]
    assert list(statements(" -- nothing\n/* ; */ ;")) == []


def test_generated_columns_are_dumped_and_temporary_tables_are_not():
    database = open_database(
        "CREATE TABLE t (a, b AS (a * 2) VIRTUAL, c AS (a * 3) STORED); INSERT INTO t VALUES (1);"
        "CREATE TEMP TABLE u (x);"
    )
    assert dump(database) == {"t": [{"a": 1, "b": 2, "c": 3}]}


def tool(sql, returns="SELECT 1 AS done", **more):
    return {"name": "act", "parameters": {}, "sql": sql, "returns": returns, **more}


def act(database, entry, arguments=None):
    return Environment(database, [entry], {"customer": 1}).call("act", arguments or {})[1]


def test_several_statements_happen_together_or_not_at_all(database):
    both = "UPDATE accounts SET amount = 1; -- and then;\nINSERT INTO accounts VALUES (3, :x)"
    before = dump(database)
    refused = tool(both, require=[{"sql": "SELECT 1 WHERE :x > 5", "otherwise": "too little"}])
    assert act(database, refused, {"x": 5}) == {"error": "too little"}
    failing = tool(both + "; INSERT INTO accounts VALUES (1, 2, 3)")
    assert "2 columns but 3 values" in act(database, failing, {"x": 5})["error"]
    unreadable = tool(both, returns="SELECT nix FROM accounts")
    assert "no such column" in act(database, unreadable, {"x": 5})["error"]
    assert dump(database) == before
    assert act(database, tool(both), {"x": 5}) == {"done": 1}
    assert [row["amount"] for row in dump(database)["accounts"]] == [1, 1, 5]


def test_a_refusal_that_ends_the_transaction_itself_is_one():
    database = open_database(
        "CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1);"
        "CREATE TRIGGER no BEFORE DELETE ON t BEGIN SELECT RAISE(ROLLBACK, 'never'); END;"
    )
    assert act(database, tool("INSERT INTO t VALUES (2); DELETE FROM t")) == {"error": "never"}
    assert act(database, tool("INSERT OR ROLLBACK INTO t VALUES (1)"))["error"]
    assert dump(database) == {"t": [{"x": 1}]}


def test_lists_and_objects_reach_sql_as_json(database):
    add = tool(
        "INSERT INTO accounts SELECT value, :more ->> 'amount' FROM json_each(:who)",
        require=[{"sql": "SELECT 1 FROM json_each(:who)", "otherwise": "nobody"}],
    )
    assert act(database, add, {"who": [], "more": {}}) == {"error": "nobody"}
    assert act(database, add, {"who": [7, "é"], "more": {"amount": 2}}) == {"done": 1}
    assert dump(database)["accounts"][2:] == [
        {"customer": 7, "amount": 2},
        {"customer": "é", "amount": 2},
    ]


@pytest.mark.parametrize(
    ("returns", "why"),
    [
        (f"{ENDLESS} SELECT i FROM n LIMIT 2000", "more than 1,000 rows"),
        (f"{ENDLESS} SELECT hex(zeroblob(999)) AS x FROM n LIMIT 90", "100,000 characters"),
        (f"{ENDLESS} SELECT max(i) FROM n", "interrupted"),
        ("SELECT zeroblob(100000000)", "too big"),
    ],
)
def test_a_result_without_end_is_refused_and_nothing_changes(database, returns, why):
    before = dump(database)
    assert why in act(database, tool("UPDATE accounts SET amount = 0", returns))["error"]
    assert dump(database) == before
