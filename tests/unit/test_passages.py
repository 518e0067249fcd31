"""General text in passages: nothing is lost, nothing is longer than asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specialist.core.errors import UserError
from specialist.core.files import sha256
from specialist.core.passages import passages, read, spread

TEXT = "Title\n\nOne sentence. Another one! A third?\n\nThe last."


def test_whole_paragraphs_stand_together():
    assert passages(TEXT, 1000) == [TEXT]
    assert passages(TEXT, 50) == ["Title\n\nOne sentence. Another one! A third?", "The last."]


def test_long_paragraphs_are_cut_at_sentences_or_blanks():
    assert passages(TEXT, 30)[1:3] == ["One sentence. Another one!", "A third?\n\nThe last."]
    assert passages("some words without any end", 12) == ["some words", "without any", "end"]
    assert passages("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


@given(st.text(alphabet="ab .?!\n\r", max_size=200), st.integers(1, 40))
def test_only_blanks_are_lost(text, size):
    found = passages(text, size)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(0 < len(passage) <= size for passage in found)


def test_passages_are_of_all_parts():
    items = [f"passage {i:02}" for i in range(10)]  # of 10 bytes each
    assert spread(items, 30) == [items[0], items[3], items[6]]
    assert spread(items, 25) == spread(items, 30)
    assert spread(items, 1000) == items and spread(items, 0.5) == items[:1]


def test_files_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "general.txt"
    path.write_bytes(b"One line.\nCaf\xe9\n")
    with pytest.raises(UserError, match=r"general.txt:2: found the byte 0xe9, expected text in"):
        read(path)
    path.write_bytes(b" \n")
    with pytest.raises(UserError, match="general.txt: found no text"):
        read(path)


def test_texts_of_the_repository_are_the_named_ones(resources):
    folder = resources / "general-english"
    named = dict(line.split()[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert {name: sha256(folder / name) for name in ("held_out.txt", "train.txt")} == named
    held_out, train = (set(read(folder / name).split("\n\n")) for name in named)
    assert not held_out & train
    assert "ShareAlike 3.0" in (folder / "LICENSE").read_text()
