"""Projects that have run once, and copies of them for tests to change."""

import json
import os
import shutil

import pytest
from filelock import FileLock

import bike_shop
from project import TINY, Project

# Two processes of tests share the cores; threads that spin at barriers would take them from each
# other. Set before torch loads; steps set it for themselves.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_addoption(parser):
    parser.addoption("--sequences", type=int, default=1, help="random sequences of changes to run")
    parser.addoption("--seed", type=int, default=1, help="seed of the first of them")


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id):
    """A function that makes a project and runs it, once for all processes of the tests."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent

    def make(name, new):
        folder, ran = shared / name / "project", shared / name / "ran.json"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(shared / f"{name}.lock"):
            if not ran.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process that failed in it
                ran.write_text(json.dumps(sorted(new(folder).run())))
        return folder, set(json.loads(ran.read_text()))

    return make


@pytest.fixture(scope="session")
def tiny(once):
    """The default project, tiny, run to its end; `ran` is the jobs that it took."""
    folder, ran = once("tiny", lambda folder: Project.new(folder, TINY))
    project = Project(folder, TINY)
    project.ran = ran
    return project


@pytest.fixture(scope="session")
def shop(tiny, once):
    """The same folder after a user's own dataset was run in it, with models of its own."""

    def new(folder):
        project = tiny.copy(folder)
        bike_shop.write(folder / "data" / "bike-shop")
        return project.overlay(**bike_shop.CONFIG)

    folder, ran = once("shop", new)
    project = Project(folder, TINY, folder / "overlay-1.yaml")
    project.ran = ran
    return project


@pytest.fixture
def fresh_copy(tmp_path):
    """A function that copies a project for one test."""
    yield lambda project: project.copy(tmp_path / "project")
    shutil.rmtree(tmp_path)
