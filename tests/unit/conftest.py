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


@pytest.fixture(scope="session")
def chromium():
    """Chromium without a window; a test is skipped where there is none."""
    from selenium import webdriver

    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture
def screen(chromium):
    """A function that shows the page on a screen of a width, in pixels, in a colour scheme."""

    def show(width, scheme):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    yield show
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
