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
    assert found.keys() == {
        "scale", "quality", "importance", "rank", "retrieval", "pretraining",
    }  # fmt: skip
    assert found["importance"]["verdict"] == "not tested in this version"
    assert found["quality"]["verdict"].startswith("inconclusive")
    assert found["quality"]["reason"] == "The success rate of F16 is not shown to be 0.2 or more."


def test_page(paper):
    page = (paper.folder / REPORT).read_text()
    assert page.count("<svg") == page.count("<section") == 6


# One cell, with two seeds and a few steps, on a base that exists already.
OWN = {
    "seeds": [1, 2],
    "own_base": {"path": "data/model", "sequence": 64},
    "reference": {"examples": 8},
    "sweeps": {"rank": {"rank": [4], "alpha": [8]}},
    "stack": False,
    "over": "tasks",
}


@pytest.fixture(scope="module")
def own(paper, tmp_path_factory):
    """The same project after a version of its paper on a copy of its base, which is imported."""
    project = paper.copy(tmp_path_factory.mktemp("own") / "project")
    base, model = project.folder / "results/food-delivery/base/small", project.folder / "data/model"
    shutil.copytree(base / "model", model)
    shutil.copytree(base / "tokenizer", model, dirs_exist_ok=True)
    project.overlay(papers={"own": OWN})
    project.ran = project.run(REPORT, "--config", "paper=own")
    return project


def test_version_on_a_base_of_its_own_pretrains_nothing(own):
    adapters = {job for job in own.ran if job.startswith("train_lora ")}
    assert adapters == {
        "train_lora lora-r16-own_examples-8", "train_lora lora-r16-own_examples-8_seed-2",
    }  # fmt: skip
    assert "fetch_base own" in own.ran
    assert not any(job.startswith(("pretrain ", "simulate_")) for job in own.ran)
    assert own.planned(REPORT, "--config", "paper=own") == set()


def test_what_an_imported_base_forgets_is_measured(own):
    table = pd.read_csv(own.folder / "results/paper/own/measurements.csv")
    rank = table[table["experiment"] == "rank"].groupby("metric")["value"]
    assert rank.count()["forgotten"] == 2 and rank.mean()["corpus_bits_per_byte"] > 1


def test_page_has_both_versions_side_by_side(own):
    page = (own.folder / REPORT).read_text()
    assert '<th scope="col">own: data/model</th>' in page
    assert '<th scope="col">tiny: from scratch</th>' in page
    other = json.loads((own.folder / "results/paper/tiny/verdicts.json").read_text())
    assert {claim["id"] for claim in other} > {"rank", "retrieval"}


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
    assert shown.count("<figure") == shown.count("<svg") == shown.count("<section") == 6
    assert shown.count("<table") == 8


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
