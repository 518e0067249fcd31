"""What was computed once is never computed again, wherever it is wanted."""

import json
import shutil
import subprocess

from project import TINY, Project

ADAPTER = "results/food-delivery/adapter/lora-r16/adapter_model.safetensors"


def provenance(project):
    """{rule with the first output's path: whether the job was restored from the cache}"""
    found = {}
    for path in (project.folder / "results").rglob("*.provenance.json"):
        made = json.loads(path.read_text())
        found[str(path.relative_to(project.folder))] = made.get("restored", False)
    return found


def test_deleted_results_are_restored_without_work(tiny, fresh_copy, tmp_path, monkeypatch):
    (tmp_path / "traps").mkdir()
    for library in ("torch", "transformers", "llama_cpp", "chromadb"):
        (tmp_path / f"traps/{library}.py").write_text(f"raise SystemExit('imports {library}')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "traps"))
    project = fresh_copy(tiny)
    before = project.contents()
    shutil.rmtree(project.folder / "results")
    shutil.rmtree(project.folder / ".snakemake")
    assert project.run() == tiny.ran
    restored = provenance(project)
    assert len(restored) == len(tiny.ran) and all(restored.values())
    assert project.contents() == before


def test_same_bytes_from_an_upstream_step_stop_the_work_in_the_same_run(tiny, fresh_copy):
    project = fresh_copy(tiny)
    spec = project.folder / "resources/datasets/food-delivery"
    with open(spec / "labels.yaml", "a", encoding="utf-8") as file:
        file.write("# A remark, which changes the file and nothing of the corpus.\n")
    before, written = project.comparable(), project.written()
    ran = project.run()
    assert {"simulate_corpus", "prepare_corpus", "pretrain small"} <= ran
    computed = {made["rule"] for made in project.since(written) if not made.get("restored")}
    assert computed == {"simulate_corpus", "render_report"}  # the page shows the new time
    assert project.comparable() == before
    assert project.planned() == set()


def test_damaged_entry_is_made_anew(tiny, fresh_copy):
    project = fresh_copy(tiny)
    before = project.comparable()
    model = "results/food-delivery/base/small/model/model.safetensors"
    entry = json.loads((project.folder / f"{model}.provenance.json").read_text())["key"]
    stored = project.folder / "cache" / entry[:2] / entry / "0"
    data = stored.read_bytes()
    stored.unlink()  # it may be shared with other folders
    stored.write_bytes(data[:-1])
    (project.folder / model).unlink()
    status, output = project.snakemake(model)
    assert status == 0 and "is damaged" in output
    assert provenance(project)[f"{model}.provenance.json"] is False
    assert project.comparable() == before


def test_two_runs_at_once_share_a_cache(tiny, tmp_path):
    """Both compute or restore each step, whoever is first, and a third run has all from them."""
    cache = {"folder": str(tmp_path / "cache")}
    projects = [Project.new(tmp_path / name, TINY).overlay(cache=cache) for name in "abc"]
    runs = [
        subprocess.Popen(project.command(ADAPTER), cwd=project.folder) for project in projects[:2]
    ]
    assert [run.wait() for run in runs] == [0, 0]
    projects[2].run(ADAPTER)
    restored = provenance(projects[2])
    assert f"{ADAPTER}.provenance.json" in restored and all(restored.values())
    expected = tiny.comparable()
    for project in projects:
        made = project.comparable()
        assert ADAPTER in made and made == {path: expected[path] for path in made}
