"""A release in another place: verified, and talked to."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tiny_release
from specialist.agent import react
from specialist.core.errors import UserError


def run(folder, program, *arguments, said=""):
    """(exit status, stdout, stderr) of a program of a release, which does not see this project."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, folder / program, *arguments],
        cwd=folder.parent,
        env=environment,
        input=said,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def specialist(release):
    from specialist.release.deployment import Specialist

    with Specialist(release) as opened:
        yield opened


def test_verify_names_what_is_wrong(moved):
    (moved / ".snakemake_timestamp").touch()
    status, said, _ = run(moved, "verify.py")
    assert status == 0 and "each as it was released" in said
    (moved / ".snakemake_timestamp").write_text("x")
    assert ".snakemake_timestamp: not in SHA256SUMS" in run(moved, "verify.py")[1]
    data = bytearray((moved / "model.gguf").read_bytes())
    data[len(data) // 2] ^= 1
    (moved / "model.gguf").write_bytes(data)
    (moved / "tools.yaml").unlink()
    (moved / "specialist" / "json.py").write_text("")
    status, said, _ = run(moved, "verify.py")
    assert status == 1
    assert "model.gguf: altered" in said and "tools.yaml: missing" in said
    assert "specialist/json.py: not in SHA256SUMS" in said


EVIL = "raise SystemExit('foreign code ran')\n"


def test_verify_names_everything_that_was_added(moved):
    """Nothing of it is opened or imported."""
    modules = ("hashlib.py", "os.py", "sitecustomize.py", "pathlib.py")
    for name in (*modules, ".hidden", "a\x1b[31m.txt"):
        (moved / name).write_text(EVIL)
    for name in ("specialist/__pycache__", "kb", ".venv", "specialist/agent/more"):
        (moved / name).mkdir()
    (moved / "specialist/__pycache__/loop.cpython-312.pyc").write_bytes(b"")
    (moved / ".venv/pyvenv.cfg").touch()
    (moved / "kb/SHA256SUMS").touch()
    (moved / "away").symlink_to("/")
    (moved / "database.sql").unlink()
    (moved / "database.sql").symlink_to("tools.yaml")
    (moved / "prompt.jinja").unlink()
    os.mkfifo(moved / "prompt.jinja")
    os.mkfifo(moved / "pipe")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(moved)
        patch.setenv("PYTHONPATH", ".")
        found = subprocess.run(
            [sys.executable, "-S", "verify.py"], capture_output=True, text=True, timeout=60
        )
    assert found.returncode == 1 and not found.stderr
    places = sorted(line.split(": ")[0] for line in found.stdout.splitlines()[:-1])
    assert places == sorted(
        [
            *modules, ".hidden", "a\\x1b[31m.txt",
            "specialist/__pycache__/", "kb/", ".venv/", "specialist/agent/more/", "away",
            "database.sql", "prompt.jinja", "pipe",
        ]
    )  # fmt: skip
    assert ".venv/: not in SHA256SUMS; make an environment outside the release" in found.stdout


@pytest.mark.parametrize(
    "line",
    ["x", "", f"{'0' * 64}  ../secret", f"{'0' * 64}  /etc/passwd", f"{'0' * 64} *a", "\xff"],
)
def test_damaged_sums_are_named(moved, line):
    sums = moved / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes() + line.encode("latin-1") + b"\n")
    status, said, problems = run(moved, "verify.py")
    assert status == 1 and said.startswith("SHA256SUMS") and not problems


def test_sums_are_those_of_sha256sum(moved):
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=moved, check=True)


def test_release_carries_what_its_programs_import(release):
    folder = release / "specialist"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}
    assert {"agent/loop.py", "gguf/runtime.py", "release/serving.py", "core/__init__.py"} <= there
    rooms = {path.split("/")[0] for path in there if "/" in path}
    assert rooms == {"agent", "core", "gguf", "rag", "release"}
    settings = json.loads((release / "release.json").read_text())
    assert settings["parts"] == ["tools.yaml", "database.sql"]


@pytest.mark.parametrize("source", ["a\nb.md", "a\\b.md", "a\u2028.md"])
def test_article_that_sums_cannot_list_is_refused(source):
    from make_release import _listable

    with pytest.raises(UserError, match="rename the article"):
        _listable(source)
    assert _listable("faq/old/b.md") == "faq/old/b.md"


def test_chat_once(moved):
    status, said, shown = run(moved, "chat.py", "--once", "Cancel FD-12!")
    assert status == 0, shown
    assert said.strip() == tiny_release.ANSWER
    assert 'Action: {"name": "cancel"' in shown and '-> {"state": "cancelled"}' in shown
    # The programs wrote nothing into the release, Python's caches neither.
    assert run(moved, "verify.py")[0] == 0


DAMAGES = {
    "model.gguf": [None, b"", b"GGUF\x03", "half"],
    "tools.yaml": [None, b"[", b"- 5", b"{a: b}", b"- {name: x, description: y}"],
    "database.sql": [None, b"CREATE", b"\xff"],
    "prompt.jinja": [None, b"{% for %}"],
    "release.json": [None, b"", b"[]", b"{}", b'{"name": NaN}'],
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_file_is_named(moved, name):
    from specialist.release.deployment import Specialist

    whole = (moved / name).read_bytes()
    for data in DAMAGES[name]:
        (moved / name).unlink(missing_ok=True)
        if data is not None:
            (moved / name).write_bytes(whole[: len(whole) // 2] if data == "half" else data)
        with pytest.raises(UserError, match=name):
            Specialist(moved)
    status, said, problems = run(moved, "chat.py", "--once", "Hi")
    assert status == 1 and name in problems and "Traceback" not in problems and not said


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("chunks.jsonl", b"[]"), ("chunks.jsonl", b'{"id": 1}\n'), ("chunks.jsonl", b""),
        ("embeddings.npy", b"[]"), ("embeddings.json", b"[]"), ("embeddings.json", b"{}"),
        ("encoder.gguf", b"GGUF"), ("shift.npy", b"x"), ("bm25.zip", b"x"),
    ],
)  # fmt: skip
def test_damaged_index_is_named(tmp_path, name, data):
    import numpy as np

    from specialist.release.contents import open_index

    chunk = {"id": "a.md#0", "source": "a.md", "title": "A", "text": "b"}
    settings = {
        "model": "m", "dimension": 4, "chunks": 1, "max_tokens": 8,
        "prompts": {"query": "", "document": ""},
    }  # fmt: skip
    (tmp_path / "chunks.jsonl").write_text(json.dumps(chunk) + "\n")
    np.save(tmp_path / "embeddings.npy", np.ones((1, 4), np.float32))
    (tmp_path / "embeddings.json").write_text(json.dumps(settings))
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=f"{name}.*verify.py"):
        open_index(tmp_path, 1)


def test_model_cannot_steer_the_terminal(specialist, capsys):
    from specialist.release.terminal import Screen, printable

    assert printable("a\x1b[2J\r\u2028\u202e\x9b\ud800b\n\té🍕") == (
        "a\\x1b[2J\\r\\u2028\\u202e\\x9b\\ud800b\n\té🍕"
    )
    conversation = specialist.converse()
    conversation.connection.execute("UPDATE orders SET state = '\x1b[2J\u2028'")
    tool = specialist.agent.tools[0]
    tool.pop("sql")
    screen = Screen(sys.stdout)
    specialist.model.said, specialist.agent.acted = screen.said, screen.acted
    screen.said("Thought: \x1b]0;title\x07")
    screen.reply(specialist, conversation, "Hi")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\u2028" not in shown and "\\u2028" in shown


def test_message_that_is_not_text_is_refused(specialist, capsys):
    from specialist.release.terminal import Screen

    assert Screen(sys.stdout).reply(specialist, specialist.converse(), "\udcff") is None
    assert "not UTF-8" in capsys.readouterr().out


def test_warning_is_loud(moved):
    settings = json.loads((moved / "release.json").read_text())
    assert "notice" not in settings
    (moved / "release.json").write_text(json.dumps(settings | {"notice": "solves 0 of 9"}))
    _, said, shown = run(moved, "chat.py", "--once", "Hi")
    assert "WARNING: solves 0 of 9" in shown and "WARNING" not in said
    assert "WARNING: solves 0 of 9" in run(moved, "chat.py", said="/quit\n")[1]


ALONE = """
import importlib.metadata, json, runpy, sys
allowed = set(json.loads(sys.argv[1]))
owners = importlib.metadata.packages_distributions()

class Missing:
    def find_spec(self, name, *_):
        owner = {one.lower().replace("_", "-") for one in owners.get(name.partition(".")[0], ())}
        if owner and not owner & allowed:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import specialist.release.serving, uvicorn
sys.argv = ["chat.py", "--once", "Hi"]
runpy.run_path("chat.py", run_name="__main__")
"""


def test_it_needs_no_package_but_its_requirements(moved):
    lines = (moved / "requirements.txt").read_text().splitlines()
    pins = filter(None, (line.split("#")[0].strip() for line in lines))
    names, allowed = [Requirement(pin).name for pin in pins], set()
    while names:
        if (name := canonicalize_name(names.pop())) not in allowed:
            allowed.add(name)
            needed = map(Requirement, importlib.metadata.requires(name) or ())
            names += [part.name for part in needed if not part.marker or part.marker.evaluate()]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, json.dumps(sorted(allowed))],
        cwd=moved, env=os.environ | {"PYTHONPATH": str(moved)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == tiny_release.ANSWER, done.stderr


def test_chat_goes_on_over_messages(moved):
    status, said, problems = run(moved, "chat.py", said="Hi\nIs it?\n/new\nHi\n/quit\n")
    assert status == 0, problems
    assert said.count(f"Answer: {tiny_release.ANSWER}") == 3
    # The second time there is nothing left to cancel; after /new there is.
    assert said.count("changed in the copy") == 2


def test_other_customers_order_is_out_of_reach(moved):
    status, said, _ = run(moved, "chat.py", "--session", "customer=8", said="Hi\n")
    assert status == 0 and "changed in the copy" not in said


def test_wrong_session_is_refused(moved):
    for given, expected in (
        ("customer=x", "session customer: found 'x', expected a whole number"),
        (f"customer={2**63}", "expected a whole number"),
        ("client=1", "session client: found this name, expected customer"),
        ("customer", "expected NAME=VALUE"),
    ):
        status, _, said = run(moved, "chat.py", "--session", given, "--once", "Hi")
        assert status == 1 and expected in said and "Traceback" not in said


def test_folder_that_is_no_release_is_refused(tmp_path):
    from specialist.release.deployment import Specialist

    with pytest.raises(UserError, match="no release.json"):
        Specialist(tmp_path)


def kept(conversation):
    return [turn["content"] for turn in conversation.trace.messages]


def test_a_conversation_goes_on_and_the_old_state_stays(specialist):
    begin = specialist.converse()
    first = specialist.reply(begin, "Hi")
    second = specialist.reply(first.conversation, "Is it?")
    assert (first.text, second.text) == (tiny_release.ANSWER, tiny_release.ANSWER)
    states = [reply.conversation.changes() for reply in (first, second)]
    assert begin.changes() == {} and states[0] == states[1] != {}
    assert [step.call for step in first.steps] == ["cancel", None]
    # What neither the model nor a rule reads again is dropped.
    assert len(kept(begin)) == 1 and len(kept(first.conversation)) == 5
    assert kept(second.conversation)[1] == "Hi" and len(kept(second.conversation)) == 3 + 4
    assert react.answer(kept(second.conversation)[2]) == tiny_release.ANSWER
    again = specialist.reply(first.conversation, "Is it?")
    assert kept(again.conversation) == kept(second.conversation)


def test_a_conversation_that_outgrows_the_context_loses_old_answers_first(specialist):
    """The same memory as in the evaluation; a message that is too long alone is refused."""
    from specialist.agent.memory import LEFT_OUT, remembered
    from specialist.release.deployment import ContextFull

    count, asked = specialist.model.chat.ids, []

    def counted(messages):
        asked.append(messages)
        return count(messages)

    history = [(f"question {number}", "yes " * 9) for number in range(20_000)]
    conversation = specialist.converse(history)
    specialist.model.chat.ids = counted
    specialist.reply(conversation, "Hi")
    assert sum(map(len, asked)) < 1000  # the work does not grow with the conversation
    specialist.model.chat.ids = count
    record = [*conversation.trace.messages, {"role": "user", "content": "Hi"}]
    read = remembered(record, specialist.model.count, specialist.model.room)
    assert read in asked and specialist.model.count(read) <= specialist.model.room
    answers = [turn["content"] for turn in read if turn["role"] == "assistant"]
    assert set(answers) == {LEFT_OUT} and read[-3]["content"] == "question 19999"
    few = specialist.converse(history[-8:])
    read = remembered(few.trace.messages, specialist.model.count, specialist.model.room)
    answers = [turn["content"] == LEFT_OUT for turn in read if turn["role"] == "assistant"]
    assert answers == sorted(answers, reverse=True)
    with pytest.raises(ContextFull, match="expected at most 448"):
        specialist.reply(conversation, "word " * 500)


def test_rules_of_the_tools_hold_in_a_release(moved, capsys):
    """The model claims without a call, and the loop hands over."""
    from specialist.release.deployment import Specialist
    from specialist.release.terminal import Screen

    tools = yaml.safe_load((moved / "tools.yaml").read_text())
    fallback = {"arguments": {"order": ""}, "answer": "A person will write."}
    tools.append({**tools[0], "name": "ask", "claims": ["is cancelled"], "fallback": fallback})
    (moved / "tools.yaml").write_text(yaml.safe_dump(tools))
    with Specialist(moved) as specialist:
        screen = Screen(sys.stdout)
        specialist.agent.acted = screen.acted
        reply = screen.reply(specialist, specialist.converse(), "Hi")
        assert [step.call for step in reply.steps] == ["cancel", None, "ask", None]
        assert (reply.text, reply.exchange.said) == ("A person will write.", tiny_release.ANSWER)
    shown = capsys.readouterr().out
    assert "(rule claim) A person will write." in shown and '(rule) ask {"order": ""}' in shown
    settings = json.loads((moved / "release.json").read_text())
    (moved / "release.json").write_text(json.dumps(settings | {"rules": False}))
    with Specialist(moved) as specialist:
        assert specialist.reply(specialist.converse(), "Hi").text == tiny_release.ANSWER
    (moved / "release.json").write_text(json.dumps(settings))
    tools[0]["confirm"] = True
    (moved / "tools.yaml").write_text(yaml.safe_dump(tools))
    with Specialist(moved) as specialist:
        step = specialist.reply(specialist.converse(), "Hi").steps[0]
        assert (step.call, step.error) == ("cancel", "ask the customer to confirm first")
    tools[0]["claims"] = ["(?=x)"]
    (moved / "tools.yaml").write_text(yaml.safe_dump(tools))
    with pytest.raises(UserError, match="tools.yaml: 0.claims.0"):
        Specialist(moved)


def test_limit_of_tokens_holds_over_turns(specialist):
    """It is the client's, so no rule answers in its place."""
    begin = specialist.converse()
    made = [step.generated_tokens for step in specialist.reply(begin, "Hi").steps]
    for limit in (1, made[0], made[0] + 3):
        reply = specialist.reply(begin, "Hi", limit)
        assert sum(step.generated_tokens for step in reply.steps) == limit
        assert (reply.exchange.ended, reply.exchange.reply) == ("client_limit", None)
    assert specialist.reply(begin, "Hi").text == tiny_release.ANSWER


def test_interrupt_leaves_all_as_it_was(specialist, capfd):
    from specialist.agent.environment import dump
    from specialist.release.terminal import Screen

    class Impatient(Screen):
        """Presses Ctrl-C when a tool has returned."""

        def write(self, text):
            super().write(text)
            if "->" in text:
                signal.raise_signal(signal.SIGINT)

    conversation, screen = specialist.converse(), Impatient(sys.stdout)
    before = dump(conversation.connection)
    specialist.model.said, specialist.agent.acted = screen.said, screen.acted
    assert screen.reply(specialist, conversation, "Hi") is None
    assert "(stopped" in capfd.readouterr().out
    assert dump(conversation.connection) == before and len(kept(conversation)) == 1
    calm = Screen(sys.stdout)
    specialist.model.said, specialist.agent.acted = calm.said, calm.acted
    reply = calm.reply(specialist, conversation, "Hi")
    assert reply.text == tiny_release.ANSWER and reply.conversation.changes()
