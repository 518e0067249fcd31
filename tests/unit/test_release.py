"""A release in another place: verified, and talked to."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tiny_release
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
    status, said, _ = run(moved, "verify.py")
    assert status == 0 and "each as it was released" in said
    data = bytearray((moved / "model.gguf").read_bytes())
    data[len(data) // 2] ^= 1
    (moved / "model.gguf").write_bytes(data)
    (moved / "tools.yaml").unlink()
    (moved / "specialist" / "json.py").write_text("")
    status, said, _ = run(moved, "verify.py")
    assert status == 1
    assert "model.gguf: altered" in said and "tools.yaml: missing" in said
    assert "specialist/json.py: not in SHA256SUMS" in said


def test_sums_are_those_of_sha256sum(moved):
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=moved, check=True)


def test_release_carries_what_its_programs_import(release):
    folder = release / "specialist"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}
    assert {"agent/loop.py", "gguf/runtime.py", "release/serving.py", "core/__init__.py"} <= there
    rooms = {path.split("/")[0] for path in there if "/" in path}
    assert rooms == {"agent", "core", "gguf", "rag", "release"}


def test_chat_once(moved):
    status, said, shown = run(moved, "chat.py", "--once", "Cancel FD-12!")
    assert status == 0, shown
    assert said.strip() == tiny_release.ANSWER
    assert 'Action: {"name": "cancel"' in shown and '-> {"state": "cancelled"}' in shown
    # The programs wrote nothing into the release but Python's caches.
    assert run(moved, "verify.py")[0] == 0


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
        ("customer=x", "session customer: found 'x', expected int"),
        ("client=1", "session client: found this name, expected customer"),
        ("customer", "expected NAME=VALUE"),
    ):
        status, _, said = run(moved, "chat.py", "--session", given, "--once", "Hi")
        assert status == 1 and expected in said and "Traceback" not in said


def test_folder_that_is_no_release_is_refused(tmp_path):
    from specialist.release.deployment import Specialist

    with pytest.raises(UserError, match="no release.json"):
        Specialist(tmp_path)


def test_history_is_told_and_old_parts_left_out(specialist):
    from specialist.release.deployment import ContextFull, told

    _, exchange = specialist.reply([], "Hi")
    trace, _ = specialist.reply([exchange], "Is it?")
    assert trace.messages[1:5] == exchange and trace.messages[5]["content"] == "Is it?"
    assert trace.answer == tiny_release.ANSWER
    many = [told(f"question {number}", "yes " * 20) for number in range(9)]
    trace, _ = specialist.reply(many, "Hi")
    kept = [turn["content"] for turn in trace.messages if turn["role"] == "user"]
    assert 1 < len(kept) < 9 and kept[-2:] == ["question 8", "Hi"]
    with pytest.raises(ContextFull, match="expected at most 448"):
        specialist.reply([], "word " * 500)


def test_interrupt_leaves_all_as_it_was(specialist, capfd):
    from chat import Screen

    from specialist.agent.environment import dump

    class Impatient(Screen):
        """Presses Ctrl-C when a tool has returned."""

        def write(self, text):
            super().write(text)
            if "->" in text:
                signal.raise_signal(signal.SIGINT)

    before, screen = dump(specialist.database), Impatient(sys.stdout)
    specialist.model.said, specialist.agent.acted = screen.said, screen.acted
    assert screen.reply(specialist, [], "Hi") is None
    assert "(stopped" in capfd.readouterr().out
    assert dump(specialist.database) == before
    calm = Screen(sys.stdout)
    specialist.model.said, specialist.agent.acted = calm.said, calm.acted
    trace, _ = calm.reply(specialist, [], "Hi")
    assert trace.answer == tiny_release.ANSWER and trace.changes
