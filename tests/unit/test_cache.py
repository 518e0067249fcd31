"""The cache: what it returns is what was stored, or nothing."""

import json
import os
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specialist.core.files import sha256
from specialist.engine.cache import Cache, key
from specialist.engine.cache_entry import held
from specialist.engine.cache_index import NAME, STALE
from tiny_record import record

KEY = "ab" + 62 * "0"
MADE = record("pretrain")


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", max_gb=1)


@pytest.fixture
def outputs(tmp_path):
    paths = [tmp_path / "made" / name for name in ("model.bin", "config.json")]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_text(path.name)
    return {str(path): sha256(path) for path in paths}


def elsewhere(tmp_path, outputs):
    return [str(tmp_path / "again" / os.path.basename(path)) for path in outputs]


def test_what_was_stored_comes_back_elsewhere(cache, outputs, tmp_path):
    wanted = elsewhere(tmp_path, outputs)
    assert cache.restore(KEY, wanted) is None
    cache.store(KEY, outputs, MADE)
    assert cache.restore(KEY, wanted) == MADE
    assert [sha256(path) for path in wanted] == list(outputs.values())


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (
            lambda entry: (entry / "0").write_text("other"),
            "model.bin has changed in the cache",
        ),
        (lambda entry: os.truncate(entry / "1", 2), "config.json has changed in the cache"),
        (lambda entry: (entry / "1").unlink(), "is missing"),
        (lambda entry: (entry / "manifest.json").write_text("{"), "is damaged"),
        (lambda entry: (entry / "manifest.json").unlink(), "is missing"),
    ],
)
def test_damaged_entry_is_reported_and_dropped(cache, outputs, tmp_path, capsys, harm, found):
    cache.store(KEY, outputs, MADE)
    harm(cache.folder / KEY[:2] / KEY)
    wanted = elsewhere(tmp_path, outputs)
    assert cache.restore(KEY, wanted) is None
    assert found in capsys.readouterr().out
    assert not any(map(os.path.exists, wanted))
    assert not list(cache.folder.glob("??/*"))


@pytest.mark.parametrize("name", [KEY[:2], f"{KEY[:2]}/{KEY}", NAME, "unfinished"])
@pytest.mark.parametrize("kind", ["link to itself", "file", "pipe"])
def test_something_else_in_place_of_a_folder_or_the_index_is_removed(cache, outputs, name, kind):
    path = cache.folder / name
    path.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "file":
        path.write_text("x")
    else:
        path.symlink_to(path.name)
    cache.store(KEY, outputs, MADE)
    assert cache.restore(KEY, list(outputs)) == MADE
    assert [row[0] for row in cache.rows()] == [KEY]


NO_RECORD = {"sha256": [64 * "0", 64 * "0"]}
FOREIGN = {
    "empty": "",
    "no JSON": "x",
    "a list": "[]",
    "null": "null",
    "no keys": "{}",
    "no provenance": json.dumps(NO_RECORD),
    "a text as provenance": json.dumps(NO_RECORD | {"provenance": "pretrain"}),
    "keys of the record are missing": json.dumps(NO_RECORD | {"provenance": {"rule": "x"}}),
    "hashes that are none": json.dumps({"sha256": [1, None], "provenance": MADE}),
    "nested without end": 100_000 * "[",
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path),
}


def harm(manifest, text):
    """Put a text, or what a function makes, in the place of a manifest."""
    text(manifest) if callable(text) else manifest.write_text(text)


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_foreign_manifest_is_named_once_dropped_and_replaced(
    cache, outputs, tmp_path, capsys, text, forced
):
    cache.store("cd" + KEY[2:], outputs, MADE)
    cache.store(KEY, outputs, MADE)
    manifest = cache.folder / KEY[:2] / KEY / "manifest.json"
    manifest.unlink()
    harm(manifest, text)
    assert cache.lookup(KEY) is None
    wanted = elsewhere(tmp_path, outputs)
    if not forced:
        assert cache.restore(KEY, wanted) is None
    (cache.replace if forced else cache.store)(KEY, outputs, MADE)
    said = capsys.readouterr().out
    assert said.count(str(manifest.parent)) == 1 and "it is removed" in said
    assert cache.restore(KEY, wanted) == MADE
    assert cache.prune(0) > 0 and cache.rows() == []


def test_foreign_entries_are_dropped_when_the_index_is_made(cache, outputs, capsys):
    cache.store(KEY, outputs, MADE)
    for number, text in enumerate(FOREIGN.values()):
        entry = cache.folder / "ef" / f"ef{number:062}"
        entry.mkdir(parents=True)
        harm(entry / "manifest.json", text)
    (cache.folder / NAME).unlink()
    cache.prune(1e9)
    assert capsys.readouterr().out.count("it is removed") == len(FOREIGN)
    assert [row[0] for row in cache.rows()] == [KEY]
    assert [path.name for path in cache.folder.glob("??/*")] == [KEY]


def lock(path):
    connection = sqlite3.connect(path)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


HARMED = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "no database": lambda path: path.write_text(1000 * "no database "),
    "cut off": lambda path: os.truncate(path, 5000),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "without its table": lambda path: sqlite3.connect(path).execute("DROP TABLE entries"),
    "locked by another process": lock,
}


@pytest.mark.parametrize("harm", HARMED.values(), ids=HARMED)
def test_harmed_index_costs_no_entry_and_heals(cache, outputs, tmp_path, monkeypatch, harm):
    monkeypatch.setattr("specialist.engine.cache_index.WAIT", 0.1)
    first, second = KEY, "cd" + KEY[2:]
    cache.store(first, outputs, MADE)
    kept = harm(cache.folder / NAME)
    cache.store(second, outputs, MADE)
    for name in (first, second):
        assert cache.restore(name, elsewhere(tmp_path, outputs)) == MADE
    if harm is lock:
        kept.close()
    assert {row[0] for row in cache.rows()} == {first, second}
    assert not (cache.folder / STALE).exists()
    assert cache.prune(0) > 0 and cache.rows() == [] and not list(cache.folder.glob("??/*"))


def test_entry_that_was_removed_by_hand_leaves_the_index_when_it_is_pruned(cache, outputs):
    cache.store(KEY, outputs, MADE)
    shutil.rmtree(cache.folder / KEY[:2])
    cache.prune(0)
    assert cache.rows() == []


def test_cache_that_cannot_be_written_costs_no_step_its_work(tmp_path, outputs, capsys):
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = Cache(tmp_path / "cache", max_gb=1)
    assert cache.restore(KEY, []) is None
    cache.store(KEY, outputs, MADE)
    cache.replace(KEY, outputs, MADE)
    assert "could not store" in capsys.readouterr().out
    assert cache.rows() == [] and cache.costs("pretrain.py") == [] and cache.prune(0) == 0


def test_costs_are_those_of_the_script(cache, outputs):
    for number, rule in enumerate(("pretrain", "merge", "merge")):
        made = record(rule, compute_s=number)
        cache.store(f"{number:02}" + KEY[2:], outputs, made)
    assert {made["compute_s"] for made in cache.costs("merge.py")} == {1, 2}
    assert cache.costs("other.py") == []


def test_files_that_the_cache_shares_are_out_of_the_way_of_a_step(cache, outputs, tmp_path):
    cache.store(KEY, outputs, MADE)
    assert cache.restore("cd" + KEY[2:], list(outputs)) is None
    for path in outputs:
        assert not os.path.exists(path)
        with open(path, "w") as file:
            file.write("made by another step")
    assert cache.restore(KEY, elsewhere(tmp_path, outputs)) == MADE


def test_what_a_killed_run_left_half_stored_is_removed_after_a_while(cache, outputs):
    for age, name in ((7200, "old"), (7200, "in use"), (0, "now")):
        half = cache.folder / "unfinished" / name
        half.mkdir(parents=True)
        (half / "0").write_text("half")
        os.utime(half, (time.time() - age,) * 2)
    with held(cache.folder / "unfinished" / "in use"):
        cache.store(KEY, outputs, MADE)
    assert {path.name for path in cache.folder.glob("unfinished/*")} == {"now", "in use"}
    assert {path.name for path in cache.folder.glob("??/*")} == {KEY}


def test_many_may_store_and_restore_at_once(cache, outputs, tmp_path):
    def work(number):
        cache.store(KEY, outputs, MADE)
        wanted = elsewhere(tmp_path / str(number), outputs)
        return cache.restore(KEY, wanted), [sha256(path) for path in wanted]

    with ThreadPoolExecutor(8) as pool:
        assert all(found == (MADE, list(outputs.values())) for found in pool.map(work, range(40)))
    assert len(list(cache.folder.glob("??/*"))) == 1


def test_what_was_not_used_for_longest_is_pruned_first(cache, outputs, tmp_path):
    keys = [f"{number:02}" + 62 * "0" for number in range(3)]
    for age, name in enumerate(keys):
        cache.store(name, outputs, MADE)
        os.utime(cache.folder / name[:2] / name / "manifest.json", (age, age))
    (cache.folder / NAME).unlink()  # it is made from the times of the entries
    assert cache.restore(keys[0], elsewhere(tmp_path, outputs))
    size = cache.rows()[0][2]
    assert cache.prune(2 * size) == size
    assert {row[0] for row in cache.rows()} == {keys[0], keys[2]}
    assert {path.name for path in cache.folder.glob("??/*")} == {keys[0], keys[2]}


def test_cache_that_is_off_keeps_and_restores_nothing(cache, tmp_path, outputs):
    off = Cache(cache.folder, max_gb=0)
    off.store(KEY, outputs, MADE)
    assert not cache.folder.exists()
    cache.store(KEY, outputs, MADE)
    assert off.restore(KEY, elsewhere(tmp_path, outputs)) is None
    assert len(cache.rows()) == 1


values = st.dictionaries(st.text(max_size=3), st.integers(0, 3), max_size=3)


@given(values, values, st.sampled_from("ab"), st.sampled_from("ab"))
def test_keys_are_equal_when_all_that_counts_is(params, others, content, other):
    first = key("rule", params, {"data": [("a.txt", content)]}, {"made": ["b.txt"]})
    second = key("rule", others, {"data": [("a.txt", other)]}, {"made": ["b.txt"]})
    assert (first == second) == ((params, content) == (others, other))


def test_replaced_entry_says_whether_it_differs(cache, outputs, tmp_path, capsys):
    cache.store(KEY, outputs, MADE | {"threads": 2})
    cache.replace(KEY, outputs, MADE)
    assert capsys.readouterr().out == ""
    cache.replace(KEY, outputs, MADE | {"threads": 2})
    other = {path: "0" * 64 for path in list(outputs)[:1]} | dict(list(outputs.items())[1:])
    cache.replace(KEY, other, MADE | {"threads": 1})
    said = capsys.readouterr().out
    assert "with 2 threads then and 1 now" in said and "model.bin" in said
    assert "config.json" not in said and "damaged" not in said


def test_replaced_entry_says_that_it_was_damaged(cache, outputs, tmp_path, capsys):
    cache.store(KEY, outputs, MADE)
    stored = cache.folder / KEY[:2] / KEY / "0"
    stored.unlink()  # it is shared with what was stored
    stored.write_text("other")
    cache.replace(KEY, outputs, MADE)
    assert "model.bin was damaged" in capsys.readouterr().out
    wanted = elsewhere(tmp_path, outputs)
    assert cache.restore(KEY, wanted) == MADE


def test_a_cache_that_is_no_folder_costs_no_step(cache, outputs, tmp_path, capsys):
    cache.folder.write_text("a file")
    assert cache.lookup(KEY) is None
    assert cache.restore(KEY, elsewhere(tmp_path, outputs)) is None
    cache.store(KEY, outputs, MADE)
    assert f"cache: could not store in {cache.folder}" in capsys.readouterr().out


def test_a_store_that_fails_leaves_nothing(cache, outputs, tmp_path, capsys):
    cache.store(KEY, {**outputs, str(tmp_path / "missing"): "0"}, MADE)
    assert "cache: could not store" in capsys.readouterr().out
    assert not list(cache.folder.glob("??/*"))
