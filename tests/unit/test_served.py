"""Evaluation of a model that another program serves: this project's own server, and faulty ones."""

import contextlib
import dataclasses
import functools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

import tiny_release
from specialist.agent.runs import Kept
from specialist.agent.served import Replayed, different_actions, side_by_side
from specialist.config.load import load
from specialist.config.paths import Paths
from specialist.core import completions
from specialist.core.engines import Engine, identity
from specialist.core.errors import UserError
from specialist.report.engines import different
from tiny_server import served

PLACE = "systems.far.engine"
TASKS = [
    {"id": "one", "kind": "cancel", "message": "Cancel FD-12!", "session": {"customer": 7}},
    {"id": "two", "kind": "cancel", "message": "Hi", "session": {"customer": 8}},
    {
        "id": "talk", "kind": "talk", "session": {"customer": 7},
        "requests": [{"says": ["Hi"], "replies": []}, {"says": ["Is it?"], "replies": []}],
        "customer": {"patience": 1},
    },
]  # fmt: skip
LIMITS = {
    "rules": True, "max_steps": 4, "max_messages": 12, "context": 512, "max_new_tokens": 64,
    "top_k": 1, "search": {}, "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def files(release, tmp_path_factory):
    """The inputs of the steps, as keywords: those of a run of the release's model."""
    folder = tmp_path_factory.mktemp("served") / "far"
    folder.mkdir()
    tasks = folder / "tasks.jsonl"
    tasks.write_text("".join(json.dumps(task) + "\n" for task in TASKS))
    none = dict.fromkeys(("store", "settings", "encoder", "shift", "words", "reranker"), [])
    paths = {name: release / f"{name}.{end}" for name, end in
             (("tools", "yaml"), ("database", "sql"), ("prompt", "jinja"))}  # fmt: skip
    return SimpleNamespace(folder=folder, world={"tasks": tasks, **paths, **none})


def run(files, release, port, name="far", **changed):
    """Call run_served; its traces and the facts about the address."""
    from run_served import run_served

    engine = {"url": f"http://127.0.0.1:{port}/v1", "model": tiny_release.NAME, "key": "KEY"}
    known = identity(PLACE, engine["url"], engine["model"])
    folder = files.folder / name
    folder.mkdir(exist_ok=True)
    tokens = release.parent / "model"
    run_served(**files.world | {
        "tokenizer": tokens / "tokenizer.json",
        "tokenizer_config": tokens / "tokenizer_config.json",
        "chat_template": tokens / "chat_template.jinja",
        "traces": folder / "traces.jsonl", "times": folder / "times.jsonl",
        "served": folder / "served.json", "engine": engine, "identity": known, "trials": 2,
        "sample": None,
        "customer": None, "parallel": 3, "checkpoints": SimpleNamespace(folder=folder / "kept"),
        **LIMITS, **changed,
    })  # fmt: skip
    rows = [json.loads(line) for line in (folder / "traces.jsonl").read_text().splitlines()]
    return rows, json.loads((folder / "served.json").read_text())


@pytest.fixture(scope="module")
def found(files, release):
    """(traces, facts) of a run with the project's own server."""
    with served(release, {"grammars": True}) as (port, _):
        return run(files, release, port)


def test_traces_are_those_of_llama_cpp_here(files, release, found):
    from run_agent import run_agent

    traces, times = files.folder / "here.jsonl", files.folder / "here.times"
    run_agent(
        **files.world, gguf=release / "model.gguf", traces=traces, times=times, policy="model",
        trials=2, sample=None, customer=None, parallel=2, seed=1, **LIMITS,
    )  # fmt: skip
    here = [json.loads(line) for line in traces.read_text().splitlines()]
    rows, facts = found
    assert [(r["id"], r["trial"]) for r in rows] == [(r["id"], r["trial"]) for r in here]
    assert len(rows) == 4

    def acted(rows):  # how many tokens of a prompt are evaluated depends on the cache
        return [
            {**row, "steps": [{**step, "prompt_tokens": 0} for step in row["steps"]]}
            for row in rows
        ]

    assert acted(rows) == acted(here)
    assert rows[0]["changes"] and rows[0]["answer"] == tiny_release.ANSWER
    assert (facts["prompt"], facts["grammar"]) == ("ids", "grammar")
    assert len(facts["identity"]["sha256"]) == 64 and facts["model"] == tiny_release.NAME


def test_the_gate_compares_with_the_same_model_here(files, release, found, tmp_path):
    from compare_served import compare_served

    gate, other = tmp_path / "gate.json", tmp_path / "other.jsonl"
    compare_served(
        **files.world, gguf=release / "model.gguf", traces=files.folder / "far/traces.jsonl",
        gate=gate, **LIMITS,
    )  # fmt: skip
    made = json.loads(gate.read_text())["different_actions"]
    assert made == {"value": 0.0, "limit": 0.1, "passed": True}
    rows, _ = found
    rows = json.loads(json.dumps(rows))
    for message in rows[0]["messages"]:
        message["content"] = message["content"].replace("FD-12", "FD-13")
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    compare_served(**files.world, gguf=release / "model.gguf", traces=other, gate=gate, **LIMITS)
    made = json.loads(gate.read_text())["different_actions"]
    assert not made["passed"] and 0.1 < made["value"] < 1
    (text,) = different({"engine/far/different_actions": made, "gguf/a/different_actions": made})
    assert text.startswith("far: ") and "% of the actions" in text


def test_compared_customers_write_what_they_wrote_before(found):
    trace = next(row for row in found[0] if row["id"] == "talk")
    customer, own = Replayed(trace), trace["exchanges"]
    said = [customer.opening(), *(customer.hear(each["reply"]) for each in own)]
    assert said.pop() is None and len(own) > 1
    kept = ("message", "request", "source", "confirms")
    assert [dataclasses.astuple(each) for each in said] == [
        tuple(each[key] for key in kept) for each in own
    ]


def test_a_stopped_run_continues_with_the_rest(files, release):
    with served(release, {"grammars": True}) as (port, server):
        rows, _ = run(files, release, port, "again")
        kept = files.folder / "again/kept/runs.jsonl"
        lines = kept.read_text().splitlines()
        kept.write_text(f"{lines[0]}\n{lines[1]}\n{lines[2][:40]}")
        asked = []
        submit = server.submit
        server.submit = lambda request, kind: asked.append(1) or submit(request, kind)
        assert run(files, release, port, "again")[0] == rows
        assert len(asked) > 6
        asked.clear()
        assert run(files, release, port, "again")[0] == rows
        assert len(asked) <= 6  # those that find out what the server takes


def test_a_server_that_takes_no_grammar_is_named(files, release):
    with served(release) as (port, _):
        rows, facts = run(files, release, port, "free")
    assert facts["grammar"] == "none"
    assert rows[0]["answer"] == tiny_release.ANSWER  # the model knows the form


def test_another_model_than_planned_is_refused(files, release):
    with served(release) as (port, _), pytest.raises(UserError, match="when this step was planned"):
        run(files, release, port, "other", identity={"id": tiny_release.NAME, "sha256": "0"})
    assert not (files.folder / "other/traces.jsonl").exists()


def card(name, **more):
    return {"data": [{"id": name, "created": 5, "permission": [{"id": "x"}], **more}]}


def text(found, **more):
    choice = {"text": found, "finish_reason": "stop", **more}
    return {"choices": [choice], "model": "m", "usage": {"prompt_tokens": 3}}


@contextlib.contextmanager
def stand_in(answer):
    """The address of a server that answers (path, body or None) by a function, with JSON."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            size = int(self.headers["Content-Length"] or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            status, found, *headers = answer(self.path, body, self.headers["Authorization"])
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found if isinstance(found, bytes) else json.dumps(found).encode())

        do_GET = do_POST = answer

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("taken", "field"),
    [
        ("grammar", "grammar"), ("structured_outputs", "structured_outputs"),
        ("guided_grammar", "guided_grammar"), (None, "none"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("strict", [False, True])
def test_the_way_of_a_server_is_found(taken, field, strict):
    """Servers of each kind: those that ignore what they do not know, and those that refuse it."""
    known = {"model", "prompt", "max_tokens", "temperature", "stop", "stop_token_ids", taken}
    asked = []

    def answer(path, body, _):
        asked.append(body)
        if strict and body.keys() - known:
            return 400, {"error": "unknown"}
        return 200, text("zq7" if taken in body else "Hello")

    with stand_in(answer) as url:
        engine = Engine(PLACE, url, "m")
        engine.probe([1, 2, 3], "abc")
        assert (engine.prompt, engine.grammar) == ("ids", field)
        engine.complete([1, 2], "ab", 9, "root ::= x", ("<end>",), 7)
    last = asked[-1]
    assert last["prompt"] == [1, 2] and last["stop"] == ["<end>"] and last["temperature"] == 0
    assert ("root ::= x" in json.dumps(last)) == (taken is not None)
    assert ("stop_token_ids" in last) == (field in ("structured_outputs", "guided_grammar"))


def test_a_server_of_texts_alone_and_one_with_other_tokens():
    def texts(_, body, __):
        refused = isinstance(body["prompt"], list)
        return (400, {"error": "prompt must be text"}) if refused else (200, text("Hello"))

    with stand_in(texts) as url:
        engine = Engine(PLACE, url, "m")
        engine.probe([1, 2, 3], "abc")
        assert engine.prompt == "text"
        with pytest.raises(UserError, match=r"counts 3 tokens in a prompt of 7: m has another"):
            engine.probe([1] * 7, "abc")


def test_faults_are_tried_again_or_told(monkeypatch):
    monkeypatch.setattr(completions, "WAIT", 0.01)
    answers = [
        (429, {}, ("Retry-After", "0")), (503, {}), (200, b"<html>"), (200, {"choices": []}),
        (200, text("Hello")),
    ]  # fmt: skip
    with stand_in(lambda *_: answers.pop(0)) as url:
        assert Engine(PLACE, url, "m").complete([1], "a", 5).text == "Hello"
    wrong = [
        (b"[]", "found no text completion"),
        (text(None), "text is None"),
        (text("x", finish_reason="error"), "finish_reason 'error'"),
        (text("x") | {"usage": {"prompt_tokens": "9"}}, "usage is"),
    ]
    for found, why in wrong:
        answer = functools.partial(lambda found, *_: (200, found), found)
        with stand_in(answer) as url, pytest.raises(UserError, match=why) as told:
            Engine(PLACE, url, "m").complete([1], "a", 5)
        assert str(told.value).startswith(f"{PLACE}: {url}: ")
    with pytest.raises(UserError, match="refused.*start the server"):
        Engine(PLACE, url, "m").complete([1], "a", 5)
    names = iter("mmx")
    with stand_in(lambda *_: (200, text("Hi") | {"model": next(names)})) as url:
        engine = Engine(PLACE, url, "m")
        assert [engine.complete([1], "a", 5).text for _ in range(2)] == ["Hi", "Hi"]
        with pytest.raises(UserError, match="x answered in place of m"):
            engine.complete([1], "a", 5)


def test_a_key_is_sent_and_never_shown(monkeypatch):
    monkeypatch.setenv("ENGINE_API_KEY", "sk-secret")
    seen = []

    def answer(path, body, authorization):
        seen.append(authorization)
        return 401, {"error": f"wrong key {authorization}"}

    with stand_in(answer) as url, pytest.raises(UserError) as told:
        Engine(PLACE, url, "m", "ENGINE_API_KEY").complete([1], "a", 5)
    assert seen == ["Bearer sk-secret"]
    assert "sk-secret" not in str(told.value) and "ENGINE_API_KEY" in str(told.value)


def test_identity_is_what_does_not_change():
    cards = iter([card("m", owned_by="vllm", root="a"), card("m", owned_by="vllm", root="a"),
                  card("n", aliases=["m"]), card("other"), {"data": 5}])  # fmt: skip

    def answer(path, *_):
        if path == "/version":
            return 200, {"version": "0.12"}
        return 200, {**next(cards), "time": 9}

    with stand_in(answer) as url:
        first, second = identity(PLACE, url, "m"), identity(PLACE, url, "m")
        assert first == second == {"id": "m", "owned_by": "vllm", "root": "a", "version": "0.12"}
        assert identity(PLACE, url, "m")["id"] == "n"
        with pytest.raises(UserError, match="serves no model m; found other"):
            identity(PLACE, url, "m")
        with pytest.raises(UserError, match="found no list of models"):
            identity(PLACE, url, "m")


def configured(**system):
    return {
        "dataset": "d", "datasets": {"d": {"simulate": "x"}}, "bases": {"b": {}},
        "adapters": {"a": {"base": "b"}}, "quantizations": ["Q4_K_M"], "headline": "far",
        "systems": {"far": {"adapter": "a", **system}, "chance": {"policy": "random"}},
    }  # fmt: skip


ENGINE = {"url": "http://127.0.0.1:9/v1", "model": "m"}


def test_paths_of_a_served_system(tmp_path):
    raw = configured(engine=ENGINE)
    raw["datasets"]["d"] = {"path": str(tmp_path)}
    alone = Paths(load(raw), str(tmp_path)).systems
    assert alone.model("far") is None and alone.runs("far") == [] and alone.used("adapter") == []
    assert "engine/far" not in alone.gates() and alone.served() == ["far"]
    assert alone.engine("far") == {**ENGINE, "key": "ENGINE_API_KEY"}
    raw["systems"]["far"]["quantization"] = "Q4_K_M"
    compared = Paths(load(raw), str(tmp_path)).systems
    assert compared.model("far") == "a" and compared.runs("far") == []
    assert compared.gguf("far").endswith("gguf/a/Q4_K_M.gguf") and "engine/far" in compared.gates()
    base = raw["adapters"]["a"]["base"]
    raw["systems"] |= {"near": {"adapter": "a"}, "bare": {"base": base}}
    raw["systems"]["distant"] = {"base": base, "engine": ENGINE}
    systems = Paths(load(raw), str(tmp_path)).systems
    found = [path.split("/")[-2] for path in systems.baselines("near", "d")]
    assert found == ["chance", "bare"]  # a release does not wait for a served model


def test_identity_of_an_address_that_does_not_answer_is_that_of_the_last_run(tmp_path):
    raw = configured(engine=ENGINE)
    raw["datasets"]["d"] = {"path": str(tmp_path)}
    assert Paths(load(raw), str(tmp_path)).systems.identity("far", "d") is None
    path = tmp_path / "d/agent/far/served.json"
    path.parent.mkdir(parents=True)
    last = {**ENGINE, "identity": {"id": "m"}, "prompt": "ids", "grammar": "none"}
    path.write_text(json.dumps(last))
    assert Paths(load(raw), str(tmp_path)).systems.identity("far", "d") == {"id": "m"}
    path.write_text(json.dumps(last | {"model": "n"}))
    assert Paths(load(raw), str(tmp_path)).systems.identity("far", "d") is None


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        ({"url": "http://me:word@host/v1", "model": "m"}, "systems.far.engine.url"),
        ({"url": "http://host/v1?key=5", "model": "m"}, "systems.far.engine.url"),
        ({"url": "host:8000", "model": "m"}, "systems.far.engine.url"),
        ({"url": "http://host/v1"}, "systems.far.engine.model"),
        ({**ENGINE, "key": "sk-5"}, "systems.far.engine.key"),
    ],
)
def test_mistakes_in_the_configuration(tmp_path, engine, why):
    raw = configured(engine=engine)
    raw["datasets"]["d"] = {"path": str(tmp_path)}
    with pytest.raises(UserError, match=why):
        load(raw)


def test_a_policy_has_no_engine(tmp_path):
    raw = configured()
    raw["datasets"]["d"] = {"path": str(tmp_path)}
    raw["systems"]["chance"]["engine"] = ENGINE
    with pytest.raises(UserError, match="systems.chance.engine: a policy has no model; remove it"):
        load(raw)


def test_episodes_run_side_by_side_and_a_failure_ends_them():
    both, most = threading.Barrier(2, timeout=20), []

    def episode(name, turns):
        said = []
        for number in range(turns):
            said.append((yield name, number))
        return name, said

    def turn(asked):
        if asked[1] == 0:
            both.wait()  # the first turns of two episodes wait for each other
        most.append(asked)
        return asked[0] * 2

    found = dict(side_by_side((episode(name, 2) for name in "abcd"), turn, 2))
    assert found == {n: (name, [name * 2] * 2) for n, name in enumerate("abcd")}
    assert len(most) == 8

    def failing(asked):
        raise UserError("no answer")

    with pytest.raises(UserError, match="no answer"):
        list(side_by_side((episode(name, 2) for name in "abcd"), failing, 2))


def test_actions_are_compared_without_thoughts():
    from specialist.agent import react

    def messages(*turns):
        return [{"role": "assistant", "content": turn} for turn in turns]

    call = react.write_action("a", "cancel", {"order": "1"})
    same = react.write_action("b", "cancel", {"order": "1"})
    other, end = react.write_action("a", "cancel", {"order": "2"}), react.write_answer("a", "Done.")
    assert different_actions(messages(call, end), messages(same, end)) == (0, 2)
    assert different_actions(messages(call, end), messages(other, call, end)) == (3, 3)


def test_kept_runs_survive_a_broken_line(tmp_path):
    path, task = tmp_path / "kept/runs.jsonl", {"id": "a"}
    with Kept(path) as kept:
        kept.add(task, 0, ("one", "two"))
    path.write_text(path.read_text() + '{"task": "b", "tri')
    with Kept(path) as kept:
        assert kept.has(task, 0) and not kept.has(task, 1) and not kept.has({"id": "b"}, 0)
        kept.add(task, 1, ("three", "four"))
    with Kept(path) as kept:
        kept.write([(task, 1), (task, 0)], tmp_path / "x", tmp_path / "y")
    assert (tmp_path / "x").read_text() == "three\none\n"
    assert (tmp_path / "y").read_text() == "four\ntwo\n"
