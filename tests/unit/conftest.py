"""What several test modules share: the default tools, and a tiny model that can chat."""

import shutil
from pathlib import Path

import pytest
import yaml

import tiny_models
import tiny_release

RESOURCES = Path(__file__).resolve().parents[2] / "resources"


@pytest.fixture(scope="session")
def resources():
    """The folder resources/."""
    return RESOURCES


@pytest.fixture(scope="session")
def tools():
    """The entries of the default dataset's tools.yaml."""
    return yaml.safe_load((RESOURCES / "datasets/food-delivery/tools.yaml").read_text())


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory):
    """Folder of a random model with the project's chat template, and its GGUF (f16.gguf)."""
    from specialist.gguf.converter import convert

    folder = tiny_models.save_model(tmp_path_factory.mktemp("chat"))
    shutil.copy(RESOURCES / "prompts/chat_template.jinja", folder)
    convert(folder, folder / "f16.gguf", "tiny")
    return folder


@pytest.fixture
def runtime(chat_model):
    """That model, opened."""
    from specialist.gguf.runtime import Runtime

    with Runtime(chat_model / "f16.gguf") as opened:
        yield opened


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """A release whose model cancels an order and answers, whatever it is asked."""
    return tiny_release.write(tmp_path_factory.mktemp("release"))


@pytest.fixture
def moved(release, tmp_path):
    """A copy of it in another place."""
    return Path(shutil.copytree(release, tmp_path / "moved"))
