"""A job of a killed run is waited for; what it left is removed, what is in use stays."""

import os
import subprocess
import sys
import time

import pytest

from specialist.engine import job_lock

OUTPUT = "results/model.safetensors"
WORK = """
import sys
from specialist.engine import job_lock
with job_lock.lock([sys.argv[1]]):
    print("at work", flush=True)
    sys.stdin.readline()
print("done", flush=True)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def job(folder, pytestconfig):
    """Function that starts a process that makes an output until a line is written to it."""
    started = []

    def start():
        environment = {**os.environ, "PYTHONPATH": str(pytestconfig.rootpath / "workflow/scripts")}
        command = [sys.executable, "-c", WORK, OUTPUT]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen(command, env=environment, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def leave(folder):
    """What a killed job leaves beside its output."""
    left = [folder / path for path in job_lock.leavings([OUTPUT])]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".scratch":
            path.mkdir(exist_ok=True)
            (path / "half.bin").write_text("half")
        else:
            path.write_text("half")
    return left


def test_second_job_waits_for_the_first_and_says_so(job):
    first, second = job(), None
    assert first.stdout.readline() == "at work\n"
    second = job()
    assert "a job of a killed run still writes it" in second.stdout.readline()
    first.stdin.write("\n")
    first.stdin.flush()
    assert first.stdout.readline() == "done\n"
    assert second.stdout.readline() == "at work\n"
    second.communicate("\n")
    assert list(job_lock.FOLDER.iterdir()) == []


def test_what_a_killed_job_left_is_removed_and_what_a_live_one_uses_is_not(job, folder):
    live = job()
    live.stdout.readline()
    left = leave(folder)
    job_lock.clear()
    assert all(path.exists() for path in left)
    live.kill()
    live.wait()
    job_lock.clear()
    assert not any(path.exists() for path in left)
    assert list(job_lock.FOLDER.iterdir()) == []
    assert list((folder / "results").iterdir()) == []


def test_job_takes_over_from_a_killed_one(job):
    first = job()
    first.stdout.readline()
    first.kill()
    second = job()
    assert second.stdout.readline() == "at work\n"


@pytest.mark.parametrize("text", ["", "[", "{}", "[1, null]"])
def test_damaged_note_of_a_job_is_removed(folder, text):
    job_lock.FOLDER.mkdir(parents=True)
    (job_lock.FOLDER / "0123.json").write_text(text)
    job_lock.clear()
    assert list(job_lock.FOLDER.iterdir()) == []


def test_old_copies_of_scripts_are_removed(folder):
    job_lock.SCRIPTS.mkdir(parents=True)
    for age, name in ((3600, "tmpold.pretrain.py"), (0, "tmpnew.pretrain.py")):
        (job_lock.SCRIPTS / name).write_text("")
        os.utime(job_lock.SCRIPTS / name, (time.time() - age,) * 2)
    job_lock.clear()
    assert [path.name for path in job_lock.SCRIPTS.iterdir()] == ["tmpnew.pretrain.py"]
