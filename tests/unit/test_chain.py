"""The chain behind a result: every kind of damage is named, with its step and its mending."""

import json
import os

import pytest

from specialist.core.files import sha256
from specialist.engine.verify import follow, mend
from tiny_record import record

SPEC, PREPARED, MODEL, CONFIG, RESULT = (
    "data/spec.yaml",
    "results/d/prepared.txt",
    "results/d/small/model.bin",
    "results/d/small/config.json",
    "results/eval.json",
)
STEPS = {
    "prepare": ([SPEC], [PREPARED]),
    "train": ([PREPARED], [MODEL, CONFIG]),
    "collect": ([MODEL, PREPARED], [RESULT]),
}


def write_record(rule):
    inputs, outputs = STEPS[rule]
    made = record(
        rule,
        wildcards={"dataset": "d"},
        inputs={path: sha256(path) for path in inputs},
        outputs={path: sha256(path) for path in outputs},
        bytes={path: os.path.getsize(path) for path in [*inputs, *outputs]},
    )
    with open(f"{outputs[0]}.provenance.json", "w") as file:
        json.dump(made, file)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A project in which prepare, train and collect have run."""
    monkeypatch.chdir(tmp_path)
    for path in (SPEC, PREPARED, MODEL, CONFIG, RESULT):
        write(path, f"content of {path}")
    for rule in STEPS:
        write_record(rule)


def test_whole_chain_from_the_source_to_the_result():
    chain = follow(RESULT)
    assert not chain.problems and not chain.since
    assert [record["rule"] for record in chain.steps] == ["prepare", "train", "collect"]
    assert chain.sources == {SPEC: {sha256(SPEC)}}


def test_only_what_stands_behind_the_file_is_hashed():
    os.remove(RESULT)
    assert not follow(MODEL).problems


DAMAGE = {
    "missing": (lambda: os.remove(MODEL), f"{MODEL}: missing: expected 36 bytes; made by train"),
    "truncated": (
        lambda: os.truncate(MODEL, 3),
        f"{MODEL}: truncated: 3 bytes, expected 36; made by train",
    ),
    "longer": (
        lambda: write(MODEL, 40 * "x"),
        f"{MODEL}: altered: 40 bytes, expected 36; made by train",
    ),
    "no record": (
        lambda: os.remove(f"{MODEL}.provenance.json"),
        f"{MODEL}: no record shows how it was made: no record names it",
    ),
    "record cut off": (
        lambda: os.truncate(f"{MODEL}.provenance.json", 20),
        f"{MODEL}: no record shows how it was made: its record is damaged: is not JSON, or was not "
        "written to its end",
    ),
    "record is a list": (
        lambda: write(f"{MODEL}.provenance.json", "[]"),
        f"{MODEL}: no record shows how it was made: its record is damaged: found list, expected an "
        "object",
    ),
    "record of texts": (
        lambda: write(
            f"{MODEL}.provenance.json", json.dumps(record(inputs="data", outputs="model"))
        ),
        f"{MODEL}: no record shows how it was made: its record is damaged: inputs: found str",
    ),
}


@pytest.mark.parametrize(("harm", "told"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named_and_mended(harm, told):
    assert len(f"content of {MODEL}") == 36
    harm()
    chain = follow(RESULT)
    assert chain.problems == [told]
    removed = [f"rm {MODEL}"] if os.path.exists(MODEL) else []
    assert mend(chain) == [*removed, f"snakemake --cores all {MODEL}"]


def test_altered_bytes_of_the_same_length():
    text = "x" * 36
    expected = sha256(MODEL)
    write(MODEL, text)
    (problem,) = follow(RESULT).problems
    assert problem == (
        f"{MODEL}: altered: SHA-256 {sha256(MODEL)[:12]}, expected {expected[:12]}; made by train"
    )


def test_file_that_nobody_reads_counts_too():
    os.remove(CONFIG)
    assert mend(follow(RESULT)) == [f"snakemake --cores all {CONFIG}"]


def test_steps_that_run_anyway_need_not_be_named():
    for path in (PREPARED, MODEL, CONFIG, RESULT):
        os.remove(path)
    chain = follow(RESULT)
    assert len(chain.problems) == 4
    assert mend(chain) == [f"snakemake --cores all {RESULT}"]


def test_stale_chain():
    before = sha256(PREPARED)
    write(PREPARED, "made anew")
    write_record("prepare")
    chain = follow(RESULT)
    assert chain.problems == [
        f"{PREPARED}: stale: {step} read it with SHA-256 {before[:12]}, but prepare has written "
        f"{sha256(PREPARED)[:12]} since"
        for step in ("train", "collect")
    ]
    assert mend(chain) == [f"snakemake --cores all {RESULT}"]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda: write(SPEC, "edited"), f"{SPEC} was changed"),
        (lambda: os.remove(SPEC), f"{SPEC} was removed"),
    ],
)
def test_edited_source_is_no_damage(edit, told):
    edit()
    chain = follow(RESULT)
    assert (chain.problems, chain.since) == ([], [told])
