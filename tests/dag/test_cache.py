"""What was computed once is never computed again, wherever it is wanted."""

import json
import shutil


def provenance(project):
    """{rule with the first output's path: whether the job was restored from the cache}"""
    found = {}
    for path in (project.folder / "results").rglob("*.provenance.json"):
        made = json.loads(path.read_text())
        found[str(path.relative_to(project.folder))] = made.get("restored", False)
    return found


def test_deleted_results_are_restored_without_work(tiny, fresh_copy):
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
    before, written = project.contents(), project.written()
    ran = project.run()
    assert {"simulate_corpus", "prepare_corpus", "pretrain small"} <= ran
    computed = [made["rule"] for made in project.since(written) if not made.get("restored")]
    assert computed == ["simulate_corpus"]
    assert project.contents() == before
    assert project.planned() == set()


def test_damaged_entry_is_made_anew(tiny, fresh_copy):
    project = fresh_copy(tiny)
    before = project.contents()
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
    assert project.contents() == before
