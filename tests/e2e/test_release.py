"""The release of a system: what Snakemake puts in it, when it does so again, and that it works."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

TARGET = "results/release/lora-q4"
RELEASE = {
    "release": {
        "license": "apache-2.0",
        "data_license": "cc0-1.0",
        "language": "en",
        "author": "A. Person",
    }
}
JOBS = {"describe_gguf", "write_modelfile", "write_card", "make_release"}


@pytest.fixture(scope="module")
def released(tiny, tmp_path_factory):
    """The tiny project with its headline released."""
    project = tiny.copy(tmp_path_factory.mktemp("released") / "project").overlay(**RELEASE)
    project.ran = project.run(TARGET)
    yield project
    shutil.rmtree(project.folder)


def program(folder, name, *arguments):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, folder / name, *arguments], cwd=folder.parent,
                          env=environment, capture_output=True, text=True)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_only_the_release_is_made(released):
    assert released.ran == {f"{job} lora-q4" for job in JOBS}
    assert released.planned(TARGET) == set()
    assert released.planned() == set()  # the result does not depend on it
    status, said = released.verify(TARGET)
    assert status == 0, said


def test_what_it_holds(released):
    folder = released.folder / TARGET
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        "model.gguf", "Modelfile", "README.md", "LICENSE", "SHA256SUMS", "requirements.txt",
        "release.json", "prompt.jinja", "tools.yaml", "database.sql", "chat.py", "serve.py",
        "verify.py", "kb/late.md", "index/chunks.jsonl", "index/embeddings.npy",
        "index/embeddings.json", "index/encoder.gguf", "index/shift.npy",
        "specialist/agent/loop.py", "page/chat.html", "page/chat.css", "page/chat.js",
        "page/chat_parts.js",
    } <= there  # fmt: skip
    about = settings(released)
    assert about["parts"] == ["tools.yaml", "database.sql", "index"]
    assert about["session"].keys() == {"customer_id"} and len(about["examples"]) == 5


def test_metadata_of_the_model(released):
    from gguf import GGUFReader

    made = GGUFReader(released.folder / TARGET / "model.gguf")
    before = GGUFReader(released.folder / "results/food-delivery/gguf/lora-r16/Q4_K_M.gguf")
    fields = {name: made.get_field(name).contents() for name in made.fields}
    assert fields["general.name"] == "food-delivery-lora-q4"
    assert fields["general.license"] == "apache-2.0"
    assert fields["general.author"] == "A. Person"
    assert fields["general.base_model.0.name"] == "small"
    assert "<|im_start|>" in fields["tokenizer.chat_template"]
    assert [tensor.data.tobytes() for tensor in made.tensors] == [
        tensor.data.tobytes() for tensor in before.tensors
    ]


def test_card(released):
    from huggingface_hub import ModelCard

    card = ModelCard.load(released.folder / TARGET / "README.md")
    assert card.data.license == "apache-2.0" and card.data.language == "en"
    result = card.data.eval_results[0]
    scores = released.folder / "results/food-delivery/agent/lora-q4/scores.json"
    found = json.loads(scores.read_text())
    assert result.metric_value == round(found["success"] / found["n"], 4)
    assert f"{found['success']} of {found['n']}" in card.text
    assert "The training data: cc0-1.0." in card.text
    # The tiny model is no better than chance, and its card, settings and chat say so.
    assert ("**WARNING: this model solves" in card.text) == ("notice" in settings(released))
    assert found["success"] or "notice" in settings(released)
    for heading in ("Use", "What was measured", "Where it comes from", "Licences", "Limits"):
        assert f"\n## {heading}\n" in card.text
    assert not re.search(r"\{\{|\}\}|None|undefined", card.text)


def settings(project):
    return json.loads((project.folder / TARGET / "release.json").read_text())


def test_it_works_in_another_place(released, tmp_path):
    folder = tmp_path / "moved"
    shutil.copytree(released.folder / TARGET, folder)
    assert program(folder, "verify.py")[0] == 0
    status, said, shown = program(folder, "chat.py", "--once", "Where is my order?")
    # The tiny model has learnt nothing: it may come to no answer, and says so.
    assert "Thought: " in shown and "Traceback" not in shown
    assert (status == 0 and said.strip()) or (status == 1 and "no answer: " in shown)


def test_its_search_finds_what_the_evaluation_found(released):
    from specialist.rag.retrieval import Searcher
    from specialist.release.contents import open_index

    index = released.folder / "results/food-delivery/index/minilm"
    queries = ["late delivery", "my soup was cold", "cancel it", "Where is FD12345?"]
    with Searcher(index / "chroma.zip", index / "embeddings.json", index / "encoder.gguf",
                  index / "shift.npy", top_k=3) as searcher:  # fmt: skip
        expected = searcher.search_all(queries)
    own = open_index(released.folder / TARGET / "index", 3)
    for query, hits in zip(queries, expected, strict=True):
        assert [hit["text"] for hit in own.search(query)] == [hit["text"] for hit in hits]
    own.close()


def test_what_changes_the_release(released):
    """Another licence is another card; a touched file is nothing."""
    (released.folder / "LICENSE").touch()
    assert released.planned(TARGET) == set()
    other = type(released)(released.folder, *released.overlays)
    other.overlay(release={"license": "mit"})
    assert other.planned(TARGET) == {f"{job} lora-q4" for job in JOBS}
    assert "make_release lora-q4" in other.plan(TARGET)


def test_policy_is_refused(released):
    status, said = released.snakemake("--dry-run", "results/release/oracle")
    assert status != 0 and "a policy has no model to release" in said
