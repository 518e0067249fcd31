"""How the threads of a step wait, by what else the machine does."""

import os
import subprocess
import sys
import time

import pytest

from specialist.engine import threads


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    yield
    os.environ.pop("OMP_WAIT_POLICY", None)


def test_threads_sleep_beside_other_work(environment):
    spin = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        time.sleep(0.5)
        threads.settle(2)
    finally:
        for process in spin:
            process.kill()
    assert os.environ.get("OMP_WAIT_POLICY") == "PASSIVE"


def test_one_thread_waits_for_nobody(environment):
    threads.settle(1)
    assert "OMP_WAIT_POLICY" not in os.environ


def test_setting_of_the_user_wins(environment, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    threads.settle(2)
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
