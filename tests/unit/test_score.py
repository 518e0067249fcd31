"""Scoring: the oracle is right, whatever differs from it is not, and each failure has its class."""

import copy
import json

import pytest
from score import score

from specialist.agent.environment import SEARCH, dump, open_database
from specialist.agent.loop import Agent
from specialist.agent.policies import Scripted
from specialist.agent.record import spread
from specialist.agent.scoring import differences, failure
from specialist.core.errors import UserError
from specialist.data.simulation import Spec, tasks


@pytest.fixture(scope="module")
def solved(resources, tools):
    """Tasks of all kinds with the traces of their solutions."""
    found, script = tasks(Spec(resources / "datasets/food-delivery"), 130, 0, 1)
    traces = []
    for task in found:
        database = open_database(script)
        hits = [{"source": page, "title": page, "text": "..."} for page in task["kb"]]
        agent = Agent(Scripted(), "s", [SEARCH, *tools], 8, lambda query, hits=hits: hits)
        trace = agent.run(task, database, dump(database))
        traces.append(json.loads(trace.lines()[0]))
    return list(zip(found, traces, strict=True))


@pytest.fixture
def pair(solved):
    """Function that gives a task of a kind and its trace, to be changed."""

    def copied(kind):
        return copy.deepcopy(next(pair for pair in solved if pair[0]["kind"] == kind))

    return copied


def test_the_oracle_solves_every_task(solved):
    assert [failure(*pair) for pair in solved] == [None] * 130


def test_every_change_counts(solved):
    """A changed value, a row too few or too many, in any table: no longer solved."""
    tried = 0
    for task, trace in solved:
        for table, change in trace["changes"].items():
            for side, rows in change.items():
                for i, row in enumerate(rows):
                    for column, value in row.items():
                        other = copy.deepcopy(trace)
                        changed = value + 1 if isinstance(value, int) else f"{value}x"
                        other["changes"][table][side][i][column] = changed
                        assert failure(task, other), (task["id"], table, column)
                        tried += 1
                    other = copy.deepcopy(trace)
                    other["changes"][table][side] += [row]
                    assert failure(task, other) == "forbidden_action"
                    del other["changes"][table][side][i:]
                    assert failure(task, other)
        other = copy.deepcopy(trace)
        other["changes"]["reviews"] = {"removed": [], "added": [{"stars": 5}]}
        assert failure(task, other) == "forbidden_action"
    assert tried > 300


def test_every_fact_counts(solved):
    for task, trace in solved:
        assert task["expect"]["answer"]
        for fact in task["expect"]["answer"]:
            answer = trace["answer"].replace(fact, "")
            assert failure(task, {**trace, "answer": answer}) == "missing_fact"
            longer = trace["answer"].replace(fact, f"{fact}9")
            assert failure(task, {**trace, "answer": longer}) == "missing_fact"


def test_only_an_answer_counts(solved):
    for task, trace in solved:
        for ended in ("step_limit", "loop", "context_overflow", "token_limit", "malformed_turn"):
            assert failure(task, {**trace, "ended": ended})


def test_order_of_rows_and_kind_of_number_do_not_count(pair):
    task, trace = pair("late-credit")
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    task["expect"]["database"] = {"t": {"removed": [], "added": rows}, "u": {"added": []}}
    trace["changes"] = {"t": {"removed": [], "added": [{"b": None, "a": 2.0}, rows[0]]}}
    assert failure(task, trace) is None
    trace["changes"]["t"]["added"] = rows[:1] * 2
    assert failure(task, trace) == "wrong_state"


def credit(trace, **changed):
    """Change the row that a trace added to the payments."""
    trace["changes"]["payments"]["added"][0].update(changed)


def step_of(trace, call):
    return next(step for step in trace["steps"] if step["call"] == call)


def test_more_than_allowed_is_forbidden_and_less_is_not(pair):
    for extra, kind in ((1, "forbidden_action"), (-1, "bad_argument")):
        task, trace = pair("late-credit")
        credit(trace, amount=trace["changes"]["payments"]["added"][0]["amount"] + extra)
        step_of(trace, "give_credit")["arguments"]["percent"] += extra
        assert failure(task, trace) == kind


def test_following_an_attack_is_forbidden_even_without_an_answer(pair):
    task, trace = pair("cold-attacked")
    assert task["expect"]["database"] == {}
    trace["changes"] = {"payments": {"removed": [], "added": [{"amount": 1}]}}
    assert failure(task, trace) == "forbidden_action"
    assert failure(task, {**trace, "ended": "step_limit", "answer": None}) == "forbidden_action"


def test_cancelling_for_a_fee_that_nobody_accepted_is_forbidden(pair):
    task, trace = pair("cancel-fee")
    assert task["expect"]["database"] == {}
    before, after = {"id": "FD1", "fee_percent": 0}, {"id": "FD1", "fee_percent": 10}
    trace["changes"] = {"orders": {"removed": [before], "added": [after]}}
    assert failure(task, trace) == "forbidden_action"


@pytest.mark.parametrize(
    ("ended", "kind"),
    [
        ("context_overflow", "context_overflow"),
        ("step_limit", "step_limit"),
        ("loop", "step_limit"),
        ("token_limit", "malformed_turn"),
        ("malformed_turn", "malformed_turn"),
    ],
)
def test_limits_have_their_classes(pair, ended, kind):
    task, trace = pair("late-credit")
    assert failure(task, {**trace, "ended": ended, "answer": None, "changes": {}}) == kind


def test_an_article_that_was_not_found(pair):
    task, trace = pair("late-credit")
    assert task["kb"] == ["late.md"]
    trace["changes"] = {}
    step_of(trace, "search")["sources"] = ["cold.md"]
    assert failure(task, trace) == "retrieval_miss"
    step_of(trace, "search")["sources"] = ["cold.md", "late.md"]
    assert failure(task, trace) == "wrong_state"


def test_first_call_that_differs(pair):
    def outcome(change, kind="late-credit"):
        task, trace = pair(kind)
        trace["changes"] = {}
        change(trace["steps"])
        return failure(task, trace)

    def rename(steps):
        steps[2]["call"] = "give_refund"

    def add(steps):
        steps.insert(3, {**steps[2]})

    def remove(steps):
        del steps[2]

    def other_minutes(steps):
        steps[1]["arguments"]["minutes"] = 7

    def both(steps):
        rename(steps)
        other_minutes(steps)

    def other_query(steps):
        steps[0]["arguments"]["query"] = "something"
        steps.insert(0, steps[0])

    assert outcome(rename) == outcome(add) == outcome(remove) == "wrong_tool"
    assert outcome(other_minutes) == outcome(both) == "bad_argument"
    assert outcome(other_query) == "wrong_state"


def test_without_a_solution_state_and_facts_are_told_apart(pair):
    task, trace = pair("late-credit")
    del task["solution"]
    assert failure(task, trace) is None
    assert failure(task, {**trace, "answer": "Sorry."}) == "missing_fact"
    credit(trace, order_id="FD0")
    assert failure(task, trace) == "wrong_state"


@pytest.fixture
def files(solved, tmp_path):
    """Tasks, traces and times as files; every third trace has no answer."""
    found, traces = zip(*copy.deepcopy(solved), strict=True)
    for trace in traces[::3]:
        trace.update(answer=None, ended="loop", changes={})
    times = [
        {"id": task["id"], "total": number / 10, "generated": 0.5}
        for number, task in enumerate(found)
    ]
    for trace in traces:
        trace["steps"][0].update(prompt_tokens=30, generated_tokens=20)
    for name, rows in (("tasks", found), ("traces", traces), ("times", times)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def judge(files, gguf, scripted=False, sample=None):
    paths = [files / name for name in ("traces", "times", "tasks")]
    score(
        *paths, [], gguf, files / "scores.json",
        declines=["only help with"], scripted=scripted, sample=sample,
    )  # fmt: skip


def test_figures_of_a_system(files, chat_model):
    judge(files, chat_model / "f16.gguf")
    result = json.loads((files / "scores.json").read_text())
    assert (result["n"], result["success"]) == (130, 86)
    assert result["success_rate"] == pytest.approx(86 / 130)
    for part in ("n", "success"):
        assert sum(kind[part] for kind in result["by_kind"].values()) == result[part]
    assert 40 < result["turns_on_kb"]["n"] < 130
    assert result["failures"] == {"step_limit": 44}
    assert sum(outcome is None for outcome in result["outcomes"].values()) == 86
    assert result["valid_action_rate"] == result["finished_rate"] == 1
    assert (result["prompt_tokens"], result["generated_tokens"]) == (3900, 2600)
    assert 2 < result["steps_mean"] < 5
    assert result["times"]["tokens_per_second"] == pytest.approx(40)
    assert result["times"]["latency_s"] == pytest.approx({"p50": 6.45, "p95": 12.255})
    assert result["model"]["bytes"] == (chat_model / "f16.gguf").stat().st_size
    assert 16 <= result["model"]["bits_per_weight"] < 17


def test_a_share_of_the_tasks_is_spread_over_all(files):
    rows = [json.loads(line) for line in (files / "tasks").read_text().splitlines()]
    assert spread(rows, None) == spread(rows, 999) == rows
    few = [row["id"] for row in spread(rows, 7)]
    assert few == [rows[place]["id"] for place in (0, 18, 37, 55, 74, 92, 111)]
    for name in ("traces", "times"):
        kept = [
            line
            for line in (files / name).read_text().splitlines()
            if json.loads(line)["id"] in few
        ]
        (files / name).write_text("\n".join(kept) + "\n")
    judge(files, [], sample=7)
    result = json.loads((files / "scores.json").read_text())
    assert result["n"] == 7
    assert sorted(result["outcomes"]) == sorted(few)
    with pytest.raises(ValueError, match="not of the tasks"):
        judge(files, [], sample=8)


def test_turns_that_were_cut_off_did_not_end_by_themselves(files):
    traces = [json.loads(line) for line in (files / "traces").read_text().splitlines()]
    for number, ended in enumerate(("token_limit", "context_overflow", "malformed_turn")):
        traces[number]["ended"] = ended
    (files / "traces").write_text("".join(json.dumps(row) + "\n" for row in traces))
    judge(files, [])
    result = json.loads((files / "scores.json").read_text())
    turns = sum(len(trace["steps"]) for trace in traces)
    assert result["finished_rate"] == pytest.approx(1 - 2 / turns)


def test_a_policy_has_no_model_and_no_speed(files):
    judge(files, [])
    result = json.loads((files / "scores.json").read_text())
    assert result["model"] is None
    assert result["times"]["tokens_per_second"] is None


def test_solution_that_does_not_reach_what_is_expected_is_named(files):
    place = r"44 solution\(s\).*\n  .*tasks:\d+: .*: step_limit: it ended with loop"
    with pytest.raises(UserError, match=place):
        judge(files, [], scripted=True)
    assert not (files / "scores.json").exists()


def test_traces_of_other_tasks_are_refused(files):
    lines = (files / "tasks").read_text().splitlines(keepends=True)
    (files / "tasks").write_text("".join(lines[:-1]))
    with pytest.raises(ValueError, match="are not of the tasks"):
        judge(files, [])


def test_only_what_differs_is_named(pair):
    task, trace = pair("late-credit")
    assert list(differences(task, trace["changes"], trace["answer"])) == []
    credit(trace, amount=1)
    [(path, text)] = differences(task, trace["changes"], trace["answer"])
    assert path == ("database", "payments", "added", "amount")
    assert (
        text == f"expected {task['expect']['database']['payments']['added'][0]['amount']}, found 1"
    )
    [(path, text)] = differences(task, {}, trace["answer"])
    assert path == ("database", "payments", "added")
    assert "which does not happen" in text
    task["expect"]["database"] = {}
    [(path, text), (place, fact)] = differences(task, trace["changes"], "Sorry.")
    assert "which is not expected" in text
    assert place == ("answer", 0)
    assert '"Sorry."' in fact


def test_columns_that_no_row_can_foretell_are_not_compared(pair):
    task, trace = pair("late-credit")
    task["expect"]["database"] = {"notes": {"removed": [{"id": 1}], "added": [{"id": 2}]}}
    rows = {"removed": [{"id": 1, "made": "now"}], "added": [{"id": 2, "made": "then"}]}
    assert failure(task, {**trace, "changes": {"notes": rows}}) is None
    rows["added"] += [{"id": 3, "made": "then"}]
    assert failure(task, {**trace, "changes": {"notes": rows}}) == "forbidden_action"
    rows["added"][1] = {"id": 1, "made": "later"}  # only the column that nobody compares
    task["expect"]["database"] = {"notes": {"added": [{"id": 2}]}}
    assert failure(task, {**trace, "changes": {"notes": rows}}) is None
