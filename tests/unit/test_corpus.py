"""Corpora of any size: read in blocks, near-duplicates on one side, tokens appended to a file."""

import gzip
import json
import random

import numpy as np
import pytest
import render_text as rendering
import tokenize_corpus as tokenizing
from hypothesis import given, settings
from hypothesis import strategies as st
from split_corpus import split_corpus
from train_tokenizer import train_tokenizer

from specialist.core.errors import UserError
from specialist.core.text import batches, documents, write_rows
from specialist.data import corpus as reading
from specialist.data import sample as sampling
from specialist.data.formats import Mistakes, clean
from specialist.data.near_duplicates import Signatures, shingles
from specialist.data.splitting import first_of_equal, held_out
from toy_dataset import CHAT, jsonl, prepare, read

DRAW = random.Random(5)
WORDS = ["".join(DRAW.choices("abcdefghij", k=DRAW.randint(2, 8))) for _ in range(3000)]


def sentence(draw, words=120):
    return " ".join(draw.choices(WORDS, k=words))


def edited(text, draw, edits=2):
    """The text with some other words; five shingles of about 120 are lost with each."""
    words = text.split()
    for _ in range(edits):
        words[draw.randrange(len(words))] = draw.choice(WORDS)
    return " ".join(words)


def groups_of(folder, texts, threshold=0.7):
    signatures = Signatures(folder / "signatures")
    for start in range(0, len(texts), 7):
        signatures.add(texts[start : start + 7])
    return signatures.clusters(np.arange(len(texts)), threshold)


def test_near_duplicates_and_only_they_are_grouped(tmp_path):
    draw = random.Random(1)
    firsts = [sentence(draw) for _ in range(300)]
    groups = groups_of(tmp_path, firsts + [edited(text, draw) for text in firsts])
    assert (groups[:300] == groups[300:]).mean() > 0.99
    assert len(set(groups[:300])) == 300


def test_estimated_similarity_is_that_of_the_shingles(tmp_path):
    draw, signatures = random.Random(2), Signatures(tmp_path / "signatures")
    texts = [sentence(draw)]
    texts += [edited(texts[0], draw, edits) for edits in range(40)]
    signatures.add(texts)
    sets = [set(shingles(text)) for text in texts]
    exact = np.array([len(sets[0] & other) / len(sets[0] | other) for other in sets])
    found = signatures._agree(np.zeros(len(texts), int), np.arange(len(texts)))
    assert found[:2].tolist() == exact[:2].tolist() == [1, 1]
    assert abs(found - exact).max() < 0.16 and abs(found - exact).mean() < 0.04


def test_documents_of_one_template_are_no_near_duplicates(tmp_path):
    draw = random.Random(3)
    frame = sentence(draw, 60)
    texts = [f"{frame} {sentence(draw, 60)}" for _ in range(1000)]
    assert len(set(groups_of(tmp_path, texts))) == 1000


def test_a_key_that_many_share_hides_no_near_duplicate(tmp_path):
    draw = random.Random(4)
    frame = sentence(draw, 100)
    firsts = [f"{frame} {sentence(draw, 60)}" for _ in range(500)]
    copies = [edited(text, draw, 1) for text in firsts]
    groups = groups_of(tmp_path, firsts + copies)
    assert (groups[:500] == groups[500:]).mean() > 0.98


@pytest.mark.parametrize(
    "text, expected",
    [
        ("A b c d E f", ["a b c d e", "b c d e f"]),
        ("Only three words", ["only three words"]),
        ("這是一個沒有空格的句子。" * 3, None),
    ],
)
def test_shingles(text, expected):
    found = shingles(text)
    assert found == expected if expected else len(set(found)) == 12 and found[0] == "這 是 一 個 沒"


def test_near_duplicates_stay_on_one_side_and_are_counted(tmp_path):
    draw = random.Random(6)
    firsts = [sentence(draw) for _ in range(200)]
    rows = [{"text": text} for text in firsts]
    rows += [{"text": edited(text, draw)} for text in firsts[:50] * 2]
    (tmp_path / "a.jsonl").write_text(jsonl(*rows, *rows[:3]))
    train, validation, stats = prepare(tmp_path, [tmp_path / "a.jsonl"], 0.3)
    assert stats["documents"] == 303 and stats["duplicates"] == 3
    assert stats["train"] + stats["validation"] == 300
    assert (stats["near_duplicates"], stats["near_duplicate_groups"]) == (150, 50)
    assert stats["largest_group"] == 3
    held = {row["text"] for row in validation}
    sides = [
        [row["text"] in held for row in rows[i : i + 1] + rows[200 + i : 300 : 50]]
        for i in range(50)
    ]
    assert all(len(set(side)) == 1 and len(side) == 3 for side in sides)
    assert 0.2 < len(validation) / 300 < 0.4
    assert 5 < sum(side[0] for side in sides) < 25


def test_corpus_of_near_duplicates_alone_is_refused(tmp_path):
    text = sentence(random.Random(7))
    (tmp_path / "a.jsonl").write_text(jsonl({"text": text}, {"text": f"{text} end"}))
    with pytest.raises(UserError, match="found 2 rows, all near-duplicates of one another"):
        prepare(tmp_path, [tmp_path / "a.jsonl"])


SPLITS = st.lists(st.integers(0, 4), min_size=2, max_size=40).filter(lambda g: len(set(g)) > 1)


def random_digests(count, seed):
    return np.random.default_rng(seed).integers(0, 2**64, (count, 2), dtype=np.uint64)


@given(groups=SPLITS, share=st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]), seed=st.integers(0, 99))
def test_both_sides_hold_whole_groups(groups, share, seed):
    groups = np.array(groups)
    found = held_out(random_digests(len(groups), seed), groups, share)
    assert 0 < found.sum() < len(found)
    assert all(len(set(found[groups == group])) == 1 for group in groups)


def test_split_has_its_share_and_new_documents_move_no_others():
    digests = random_digests(20_000, 1)
    pairs = np.repeat(np.arange(10_000), 2)
    for groups in (np.arange(20_000), pairs):
        found = held_out(digests, groups, 0.1)
        assert 0.09 < found.mean() < 0.11
        part = held_out(digests[:8000], groups[:8000], 0.1)
        assert (part == found[:8000]).all()
    # A near-duplicate that comes later moves its group only if the group's side changes with it.
    third = np.append(pairs, np.arange(10_000))
    more = held_out(np.concatenate([digests, random_digests(10_000, 2)]), third, 0.1)
    assert (more[:20_000] != held_out(digests, pairs, 0.1)).mean() < 0.08


@pytest.mark.parametrize("size, held", [(11, False), (10, True)])
def test_large_group_is_for_training(size, held):
    groups = np.append(np.zeros(size, int), np.arange(1, 1001 - size))
    sides = [held_out(random_digests(1000, seed), groups, 0.1)[0] for seed in range(60)]
    assert any(sides) == held


@given(st.lists(st.integers(0, 5), max_size=30))
def test_first_of_equal(values):
    digests = np.array([(value % 2, value) for value in values], np.uint64).reshape(-1, 2)
    assert first_of_equal(digests).tolist() == [
        value not in values[:place] for place, value in enumerate(values)
    ]


def read_documents(folder, name, content):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with Mistakes() as mistakes:
        return [document for _, document in reading.Documents([folder / name], mistakes)]


TEXTS = st.text(st.sampled_from("ab é\n\r"), max_size=200)


@given(text=TEXTS)
@settings(deadline=None)
def test_blocks_of_any_size_give_the_same_documents(tmp_path_factory, text):
    folder, found = tmp_path_factory.getbasetemp(), []
    for block in (1 << 20, 16):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "PIECE", 10)
            patch.setattr(reading, "BLOCK", block)
            found.append(read_documents(folder, "a.txt", text))
    assert found[0] == found[1]
    joined = "".join(row["text"] for row in found[1])
    assert joined.replace("\n", "") == clean(text).replace("\n", "")


def test_text_without_paragraphs_is_cut_at_blanks(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST", 5000)
    monkeypatch.setattr(reading, "PIECE", 500)
    text = " ".join(WORDS)
    found = [row["text"] for row in read_documents(tmp_path, "a.txt", text)]
    assert "".join(found) == text and max(map(len, found)) <= 5000
    assert all(part.endswith(" ") for part in found[:-1])
    lines = "\n".join(WORDS[:1500])
    found = read_documents(tmp_path, "a.jsonl", jsonl({"text": lines}))
    assert len(found) == 2 and "\n".join(row["text"] for row in found) == lines


def test_every_kind_of_file_is_read(tmp_path):
    import pandas

    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"Erstes.\n"))
    (tmp_path / "b.JSONL").write_text(jsonl({"text": "Second."}, {"text": None, "messages": CHAT}))
    (tmp_path / "c.csv").write_text("text\nThird.\n")
    pandas.DataFrame({"text": ["Fourth."]}).to_parquet(tmp_path / "d.parquet")
    (tmp_path / "nested").mkdir()
    (tmp_path / "nested/e.MD").write_text("Fifth.")
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    train, validation, stats = prepare(tmp_path, paths)
    found = {row.get("text", "chat") for row in train + validation}
    assert found == {"Erstes.", "Second.", "chat", "Third.", "Fourth.", "Fifth."}
    places = "".join(path.read_text() for path in tmp_path.glob("*.places.out"))
    assert {"b.JSONL:2", "c.csv:2"} < set(places.replace(f"{tmp_path}/", "").split("\n"))


def test_keys_that_nothing_reads_are_counted(tmp_path):
    rows = [{"text": "a", "url": "x"}, {"text": "b", "url": "y", "id": 1}, {"messages": CHAT}]
    (tmp_path / "a.jsonl").write_text(jsonl(*rows))
    notes = prepare(tmp_path, [tmp_path / "a.jsonl"])[2]["notes"]
    assert notes.pop("the key url is not used") == 2
    assert notes.pop("the key id is not used") == 1
    assert not notes
    weighted = [CHAT[0], CHAT[1] | {"train": False}]
    (tmp_path / "a.jsonl").write_text(jsonl({"messages": weighted}))
    with pytest.raises(UserError, match=r"a.jsonl:1, messages\[1\]: found a message without loss"):
        prepare(tmp_path, [tmp_path / "a.jsonl"])
    (tmp_path / "a.jsonl").write_text(jsonl({"text": "a", "messages": CHAT}))
    with pytest.raises(UserError, match="a.jsonl:1: found text and messages, expected one of the"):
        prepare(tmp_path, [tmp_path / "a.jsonl"])


def test_long_text_is_split_into_rows_that_hold_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST", 3000)
    monkeypatch.setattr(reading, "BLOCK", 1000)
    draw = random.Random(11)
    text = "\n\n".join(sentence(draw, draw.randrange(400)) for _ in range(60)) + "\r\n"
    (tmp_path / "corpus.txt").write_bytes(text.encode())
    out = tmp_path / "train.jsonl", tmp_path / "validation.jsonl"
    split_corpus(tmp_path / "corpus.txt", *out, validation_share=0.1)
    parts = [[row["text"] for row in read(path)] for path in out]
    cut = int(len(text) * 0.9)
    assert ["".join(rows) for rows in parts] == [text[:cut], text[cut:]]
    assert max(map(len, sum(parts, []))) <= 3000 and len(parts[0]) < 60
    assert all(row.endswith("\n\n") for row in parts[0][:-1])


def test_rendered_text_has_an_end(tmp_path, monkeypatch, resources):
    monkeypatch.setattr(rendering, "ENOUGH", 1000)
    (tmp_path / "documents.jsonl").write_text(jsonl(*({"text": str(n) * 90} for n in range(10))))
    (tmp_path / "conversations.jsonl").write_text(jsonl(*({"messages": CHAT} for _ in range(2))))
    (tmp_path / "prompt.txt").write_text("Be kind.")
    (tmp_path / "config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    names = ("documents.jsonl", "conversations.jsonl", "prompt.txt", "config.json", "text.jsonl")
    files = [tmp_path / name for name in names]
    template = resources / "prompts/chat_template.jinja"
    rendering.render_text(*files[:3], template, *files[3:])
    found = [row["text"] for row in read(files[4])]
    assert "Be kind." in found[0] and found[1] == "0" * 90 and found[2] == found[0]
    assert found[4:] == [str(n) * 90 for n in range(2, len(found) - 2)]
    assert 1000 < sum(map(len, found)) <= 1090


def test_batches_hold_every_text_in_order():
    texts = ["a" * length for length in (3, 5, 0, 12, 1, 1, 9)]
    found = list(batches(texts, 10))
    assert [len(batch) for batch in found] == [3, 1, 2, 1] and sum(found, []) == texts


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory, resources):
    """Folder of a corpus and its tokenizer."""
    folder, draw = tmp_path_factory.mktemp("tokenizer"), random.Random(8)
    write_rows(folder / "corpus.jsonl", [{"text": sentence(draw)} for _ in range(100)])
    write_rows(folder / "held_out.jsonl", [{"text": "Schön."}, {"messages": CHAT}])
    files = [folder / name for name in ("tokenizer.json", "tokenizer_config.json", "chat.jinja")]
    train_tokenizer(
        folder / "corpus.jsonl", resources / "prompts/chat_template.jinja", *files, vocab_size=400
    )
    return folder


def test_tokens_are_those_of_all_documents_at_once(tokenizer, tmp_path, monkeypatch, resources):
    from tokenizers import Tokenizer

    from specialist.core.text import chat_renderer

    monkeypatch.setattr(tokenizing, "BATCH", 2000)
    template = resources / "prompts/chat_template.jinja"
    made = [tmp_path / name for name in ("train.npy", "validation.npy", "stats.json")]
    tokenizing.tokenize_corpus(
        *(tokenizer / name for name in ("corpus.jsonl", "held_out.jsonl")),
        *(tokenizer / name for name in ("tokenizer.json", "tokenizer_config.json")),
        template,
        *made,
    )
    bpe = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    render = chat_renderer(template.read_text())
    stats = json.loads(made[2].read_text())
    for name, target, key in (("corpus", made[0], "train"), ("held_out", made[1], "held_out")):
        texts = list(documents(tokenizer / f"{name}.jsonl", render))
        ids = [[*bpe.encode(text).ids, bpe.token_to_id("<|endoftext|>")] for text in texts]
        np.save(tmp_path / "expected.npy", np.array(sum(ids, []), np.uint16))
        assert target.read_bytes() == (tmp_path / "expected.npy").read_bytes()
        assert isinstance(np.load(target, mmap_mode="r"), np.memmap)
        assert stats[key] == {
            "documents": len(texts),
            "bytes": sum(len(text.encode()) for text in texts),
            "tokens": sum(map(len, ids)),
        }


def test_small_corpus_is_its_own_sample(tokenizer, tmp_path):
    assert sampling.sample(tokenizer / "corpus.jsonl", tmp_path) == tokenizer / "corpus.jsonl"


def test_sample_is_bounded_and_stable(tmp_path, monkeypatch):
    draw = random.Random(9)
    rows = [{"text": sentence(draw)} for _ in range(400)]
    found = []
    for count in (400, 390):
        write_rows(tmp_path / "corpus.jsonl", rows[:count])
        size = (tmp_path / "corpus.jsonl").stat().st_size
        monkeypatch.setattr(sampling, "BYTES", size // 4)
        chosen = sampling.sample(tmp_path / "corpus.jsonl", tmp_path)
        found.append(read(chosen))
        assert 0.15 < chosen.stat().st_size / size < 0.35
    assert [row for row in found[0] if row in rows[:390]] == found[1]


def test_sample_of_text_without_blanks_is_smaller(tmp_path, monkeypatch):
    draw = random.Random(10)
    rows = [
        {"text": "".join(chr(0x4E00 + draw.randrange(3000)) for _ in range(100))}
        for _ in range(200)
    ]
    write_rows(tmp_path / "corpus.jsonl", rows)
    monkeypatch.setattr(sampling, "WORD_BYTES", 20_000)
    chosen = sampling.sample(tmp_path / "corpus.jsonl", tmp_path)
    assert 5_000 < sampling._word_bytes(chosen) <= 20_000


@given(text=st.text(st.sampled_from("ab\n"), max_size=60), size=st.integers(1, 12))
@settings(deadline=None)
def test_pieces_are_filled_with_whole_paragraphs(text, size):
    found = list(reading.pieces(iter(text), size))
    assert found == list(reading.pieces([text], size)) and "".join(found) == text
    paragraphs = [paragraph + "\n\n" for paragraph in text.split("\n\n")]
    expected = [""]
    for paragraph in paragraphs:
        if expected[-1] and len(expected[-1] + paragraph) - 2 > size:
            expected.append("")
        expected[-1] += paragraph
    expected[-1] = expected[-1][:-2]  # the last paragraph has no border after it
    assert found == expected
