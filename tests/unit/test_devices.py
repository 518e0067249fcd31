"""A step sees the GPUs that its job asked for, and none that another step has."""

import os

import pytest

from specialist.core.hardware import VISIBLE
from specialist.engine import devices


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A machine with two GPUs, as nvidia-smi tells of them."""
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho GPU-a\necho GPU-b\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv(VISIBLE, "")  # so that it is as before once the test has changed it
    monkeypatch.delenv(VISIBLE)
    monkeypatch.setattr(devices, "_held", [])
    monkeypatch.setattr(devices.tempfile, "tempdir", str(tmp_path))


def seen(asked, given=None):
    """GPUs that a step sees that asked for some, where a scheduler gave it some, or none did."""
    os.environ.pop(VISIBLE, None)
    if given is not None:
        os.environ[VISIBLE] = given
    devices.hide(asked)
    devices.claim(asked)
    return devices.visible()


def test_jobs_get_gpus_of_their_own(two):
    assert seen(1) == ["GPU-a"]
    assert seen(1) == ["GPU-b"]


def test_job_that_asked_for_no_gpu_sees_none(two):
    assert seen(0) == []
    assert os.environ[VISIBLE] == ""
    assert seen(0, given="0,1") == []


def test_choice_of_a_scheduler_or_user_holds(two):
    assert seen(1, given="1") == ["1"]
    assert VISIBLE in os.environ and not devices._held
    assert seen(2) == ["GPU-a", "GPU-b"]
    assert VISIBLE not in os.environ


def test_job_waits_until_another_one_ends(two, capsys, monkeypatch):
    assert seen(1) == ["GPU-a"]
    assert seen(1) == ["GPU-b"]
    waits = []

    def first_job_ends(seconds):
        waits.append(seconds)
        devices._held.pop(0).close()

    monkeypatch.setattr(devices.time, "sleep", first_job_ends)
    assert seen(1) == ["GPU-a"]
    assert waits == [devices.WAIT]
    assert "waiting for 1 of 2 GPUs" in capsys.readouterr().out


def test_machine_without_a_gpu_is_left_alone(monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda key: [])
    monkeypatch.setenv(VISIBLE, "")
    assert seen(0) == seen(1) == []
    assert VISIBLE not in os.environ
