"""The whole paper, tiny, in a project that has run the main job: nothing is learnt, all runs."""

import json
import os
import shutil
import subprocess

import pandas as pd
import pytest

from project import ROOT, Project

REPORT = "results/paper/report.html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Without a display, without requests of the browser's own, and without the network.
HEADLESS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
]  # fmt: skip


@pytest.fixture(scope="module")
def paper(tiny, tmp_path_factory):
    """The default project, tiny, after its paper."""
    pytest.importorskip("bm25s", reason="envs/paper.txt is not installed")
    project = tiny.copy(tmp_path_factory.mktemp("paper") / "project")
    project.overlays.append(ROOT / "tests/config/paper.yaml")
    project.ran = project.run(REPORT)
    return project


def test_bases_and_adapters_of_the_main_job_are_taken(paper):
    assert {"pretrain small", "train_lora lora-r16", "chunk_kb minilm"}.isdisjoint(paper.ran)
    assert {"pretrain small_seed-2", "train_lora lora-r16_seed-2"} < paper.ran
    assert paper.planned(REPORT) == paper.planned() == set()


def test_every_cell_is_measured(paper):
    table = pd.read_csv(paper.folder / "results/paper/tiny/measurements.csv")
    assert all((paper.folder / file).is_file() for file in set(table["file"]))
    counts = table.groupby(["experiment", "metric"])["value"].count()
    for metric in ("success_rate", "held_out_loss", "gap", "forgotten", "peak_memory_mb"):
        assert counts["rank", metric] == 4  # two ranks with two seeds
    assert counts["quantization", "perplexity"] == 4
    assert counts["retrieval", "mrr"] == 4  # ways to search


def test_f16_is_measured_against_itself(paper):
    table = pd.read_csv(paper.folder / "results/paper/tiny/measurements.csv")
    same = table[(table["cell"] == "F16") & (table["metric"] == "same_top_token")]
    assert set(same["value"]) == {1.0}


def test_models_that_learned_nothing_prove_nothing(paper):
    verdicts = json.loads((paper.folder / "results/paper/tiny/verdicts.json").read_text())
    found = {claim["id"]: claim for claim in verdicts}
    assert found.keys() == {"scale", "quality", "rank", "retrieval", "pretraining"}
    assert found["quality"]["verdict"].startswith("inconclusive")
    assert found["quality"]["reason"] == "The success rate of F16 is not shown to be 0.2 or more."


def test_page(paper):
    page = (paper.folder / REPORT).read_text()
    assert page.count("<svg") == page.count("<section") == 5


@pytest.fixture(scope="session")
def browser():
    """Name of a Chromium, which is installed where that can be done."""
    if not any(map(shutil.which, BROWSERS)) and shutil.which("apt-get") and os.geteuid() == 0:
        install = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
        subprocess.run(install, capture_output=True, timeout=300)
    found = next(filter(shutil.which, BROWSERS), None)
    return found or pytest.skip("no Chromium is here, and it could not be installed by apt-get")


def open_page(browser, page, profile):
    """What a page became in a browser, and the lines of its console."""
    command = [browser, *HEADLESS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_page_opens_in_a_browser(paper, browser, tmp_path):
    shown, console = open_page(browser, paper.folder / REPORT, tmp_path / "profile")
    assert console == []
    assert shown.count("<figure") == shown.count("<svg") == shown.count("<section") == 5
    assert shown.count("<table") == 7


def test_page_asks_for_nothing_from_elsewhere(paper, browser, tmp_path):
    page = tmp_path / "report.html"
    image = '<img src="http://localhost/there.png">'
    page.write_text((paper.folder / REPORT).read_text().replace("</main>", image + "</main>"))
    _, console = open_page(browser, page, tmp_path / "profile")
    assert len(console) == 1 and "Content Security Policy" in console[0]


def test_report_of_snakemake_holds_the_paper(paper, tmp_path):
    status, said = paper.snakemake(REPORT, "--report", str(tmp_path / "report.zip"))
    assert status == 0, said


def test_verify_follows_the_paper_to_the_dataset(paper):
    status, said = paper.verify(REPORT)
    assert status == 0, said


def test_project_of_the_main_job_is_left_alone(paper, tiny):
    assert Project(paper.folder, *tiny.overlays).planned() == set()
