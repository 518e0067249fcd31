"""Options of Snakemake do what its manual says, the cache notwithstanding."""

import json
import shutil

import pytest

from project import jobs

TOOLS = "results/food-delivery/data/tools.yaml"
PROMPT = "results/food-delivery/prepared/system_prompt.txt"  # made from the tools

FORCED = {
    "a rule": (["-R", "render_prompt"], {"render_prompt"}, {"render_prompt"}),
    "a file": (["-R", PROMPT], {"render_prompt"}, {"render_prompt"}),
    "a rule further up": (
        ["-R", "simulate_tools"],
        {"simulate_tools", "render_prompt"},
        {"simulate_tools"},
    ),
    "the target": (["-f"], {"render_prompt"}, {"render_prompt"}),
    "all": (["-F"], {"simulate_tools", "render_prompt"}, {"simulate_tools", "render_prompt"}),
}


def computed(project):
    """Which of the two steps were computed, not restored, when they ran last."""
    records = [
        json.loads((project.folder / f"{path}.provenance.json").read_text())
        for path in (TOOLS, PROMPT)
    ]
    return {record["rule"] for record in records if not record.get("restored")}


@pytest.fixture
def restored(tiny, fresh_copy):
    """A project in which both steps took their output from the cache."""
    project = fresh_copy(tiny)
    for path in (TOOLS, PROMPT):
        (project.folder / path).unlink()
    assert project.run(PROMPT) == {"simulate_tools", "render_prompt"}
    assert computed(project) == set()
    return project


@pytest.mark.parametrize(("options", "ran", "anew"), FORCED.values(), ids=FORCED)
def test_forced_jobs_compute(restored, options, ran, anew):
    assert restored.run(PROMPT, *options) == ran
    assert computed(restored) == anew


def test_forced_job_refreshes_the_cache_and_says_what_differs(restored):
    key = json.loads((restored.folder / f"{PROMPT}.provenance.json").read_text())["key"]
    manifest = restored.folder / "cache" / key[:2] / key / "manifest.json"
    kept = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(kept | {"sha256": ["0" * 64]}))
    status, said = restored.snakemake(PROMPT, "-f")
    assert status == 0 and "the bytes differ from the last run" in said
    assert json.loads(manifest.read_text())["sha256"] == kept["sha256"]


def test_dry_run_changes_nothing(tiny):
    def files():
        return {path: path.stat().st_mtime_ns for path in tiny.folder.glob("results/**/*")}

    before = files()
    assert tiny.planned("-F") == tiny.ran
    assert files() == before


def test_scheduler_does_not_look_again_and_again_while_jobs_wait(tiny, fresh_copy):
    project = fresh_copy(tiny)
    shutil.rmtree(project.folder / "results")
    status, said = project.snakemake("--verbose", cores=1)
    assert status == 0, said[-8000:]
    # Snakemake's limit of jobs a second makes it look several times a job.
    assert said.count("Ready jobs: ") < 1.5 * len(jobs(said)) > 30


def test_until(tiny):
    assert tiny.planned("-F", "--until", "prepare_corpus") == {"simulate_corpus", "prepare_corpus"}


def test_summary(tiny):
    status, said = tiny.snakemake("--summary")
    rows = {line.split("\t")[0]: line.split("\t")[-1] for line in said.splitlines()}
    assert status == 0 and rows["results/agent_eval.json"] == "no update"


def test_report(tiny, tmp_path):
    status, said = tiny.snakemake("--report", str(tmp_path / "report.zip"))
    assert status == 0, said
    assert (tmp_path / "report.zip").stat().st_size > 0


def test_touch_marks_as_made(tiny, fresh_copy):
    project = fresh_copy(tiny)
    project.overlay(retrieval={"top_k": 2})
    assert project.planned()
    before = (project.folder / "results/agent_eval.json").read_bytes()
    assert project.snakemake("--touch")[0] == 0
    assert project.planned() == set()
    assert (project.folder / "results/agent_eval.json").read_bytes() == before


def test_delete_all_output(tiny, fresh_copy):
    project = fresh_copy(tiny)
    made = [
        path
        for record in project.folder.glob("results/**/*.provenance.json")
        for path in json.loads(record.read_text())["outputs"]
    ]
    assert project.snakemake("--delete-all-output")[0] == 0
    assert not [path for path in made if (project.folder / path).exists()]
    assert project.planned("--executor", "local") == tiny.ran


def test_cache_of_snakemake(restored, monkeypatch):
    (restored.folder / "between").mkdir()
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(restored.folder / "between"))
    before = (restored.folder / PROMPT).read_bytes()
    restored.run(PROMPT, "-f", "--cache", "render_prompt")
    assert len(list((restored.folder / "between").iterdir())) == 1
    (restored.folder / PROMPT).unlink()
    status, said = restored.snakemake(PROMPT, "--cache", "render_prompt")
    assert status == 0 and "from cache" in said
    assert (restored.folder / PROMPT).read_bytes() == before
