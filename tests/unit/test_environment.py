"""The agent's world withstands whatever the grammar lets a model write."""

import json

import pytest

from specialist.agent import react
from specialist.agent.environment import Environment, changes, dump, open_database
from specialist.agent.loop import Agent
from specialist.agent.policies import Turn

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
    class Twice:
        def begin(self, task):
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
        """CREATE TABLE "a""b" (x); INSERT INTO "a""b" VALUES (x'ff00'), (9e999);"""
    )
    assert dump(odd) == {'a"b': [{"x": "ff00"}, {"x": "inf"}]}
