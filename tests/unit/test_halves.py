"""Rows are split as they come: by content, in order, each with its place, nothing half-written."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specialist.core.errors import UserError
from specialist.core.places import cited
from specialist.data.formats import Mistakes
from specialist.data.halves import write_split
from toy_dataset import read


def halves(folder, rows, share, seed=1, where="data"):
    paths = [(folder / f"{n}.jsonl", folder / f"{n}.jsonl.places") for n in ("train", "valid")]
    with Mistakes() as mistakes:
        found = ((f"a.csv:{number}", row) for number, row in enumerate(rows, 2))
        counts = write_split(found, paths, share=share, seed=seed, mistakes=mistakes, where=where)
    return counts, *((read(rows), places.read_text().split()) for rows, places in paths)


def rank(row, seed=1):
    text = json.dumps(row, ensure_ascii=False, sort_keys=True)
    return int.from_bytes(hashlib.sha256(f"{seed}/{text}".encode()).digest()[:8]) / 2**64


@given(numbers=st.lists(st.integers(0, 30), min_size=2).filter(lambda n: len({*n}) > 1),
       share=st.sampled_from([0, 0.05, 0.5]))  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_rows_fall_by_their_content_and_keep_order_and_place(tmp_path_factory, numbers, share):
    folder, rows = tmp_path_factory.mktemp("halves"), [{"é": str(n)} for n in numbers]
    counts, (train, train_places), (valid, valid_places) = halves(folder, rows, share)
    distinct = [row for number, row in enumerate(rows) if row not in rows[:number]]
    lowest = min(map(rank, distinct))
    for row in distinct:
        expected = valid if rank(row) <= max(share, lowest) else train
        assert row in expected or not [r for r in distinct if rank(r) > max(share, lowest)]
    for side in (train, valid):
        assert side and side == [row for row in distinct if row in side]
    places = {f"a.csv:{number}": row for number, row in enumerate(rows, 2)}
    assert [places[p] for p in train_places + valid_places] == train + valid
    assert counts["rows"] == len(rows) == counts["duplicates"] + len(train) + len(valid)
    assert sorted(path.name for path in folder.iterdir()) == [
        "train.jsonl", "train.jsonl.places", "valid.jsonl", "valid.jsonl.places",
    ]  # fmt: skip


def test_too_few_rows_write_nothing(tmp_path):
    with pytest.raises(UserError, match="data: found 1 different row with text, expected at least"):
        halves(tmp_path, [{"a": 1}, {"a": 1}], 0.5)
    assert not list(tmp_path.iterdir())


def test_prepared_rows_are_cited_by_their_places(tmp_path):
    _, (train, _), _ = halves(tmp_path, [{"n": n} for n in range(9)], 0.1)
    path, row = tmp_path / "train.jsonl", train[3]
    message = f"x-1 and {path}:4: too long\n  {path}:99: y, {tmp_path}/other.jsonl:4"
    assert cited(message) == (
        f"x-1 and a.csv:{row['n'] + 2}: too long\n  {path}:99: y, {tmp_path}/other.jsonl:4"
    )
    assert json.loads(path.read_text().split("\n")[3]) == row
