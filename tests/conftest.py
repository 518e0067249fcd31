"""Projects that have run once, and copies of them for tests to change."""

import shutil

import pytest

import bike_shop
from project import TINY, Project


def pytest_addoption(parser):
    parser.addoption("--sequences", type=int, default=1, help="random sequences of changes to run")
    parser.addoption("--seed", type=int, default=1, help="seed of the first of them")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The default project, tiny, run to its end; `output` is what the run said."""
    project = Project.new(tmp_path_factory.mktemp("tiny"), TINY)
    project.ran = project.run()
    return project


@pytest.fixture(scope="session")
def shop(tiny, tmp_path_factory):
    """The same folder after a user's own dataset was run in it, with models of its own."""
    project = tiny.copy(tmp_path_factory.mktemp("shop") / "project")
    bike_shop.write(project.folder / "data" / "bike-shop")
    project.overlay(**bike_shop.CONFIG)
    project.ran = project.run()
    return project


@pytest.fixture
def fresh_copy(tmp_path):
    """A function that copies a project for one test."""
    yield lambda project: project.copy(tmp_path / "project")
    shutil.rmtree(tmp_path)
