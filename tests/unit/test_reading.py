"""Files as rows: the same rows from every kind of file, each with its place, in bounded memory."""

import bz2
import gzip
import json
import lzma
import tracemalloc

import pyarrow
import pytest

from specialist.core.errors import UserError
from specialist.data.formats import Mistakes
from specialist.data.reading import rows

ROWS = [
    {"q": 'Two\nlines, "quoted"; a\ttab', "a": "Sch\u00f6n \U0001f6b2"},
    {"q": "", "a": "{[,]}"},
    {"q": "x" * 200_000, "a": "\\"},
]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def quoted(separator):
    cells = [["q", "a"], *([row["q"], row["a"]] for row in ROWS)]
    return "".join(
        separator.join('"' + cell.replace('"', '""') + '"' for cell in line) + "\r\n"
        for line in cells
    )


def zstd(data):
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
PACKED |= {".zst": zstd}
TEXTS = {
    "a.jsonl": LINES,
    "A.JSONL": "\ufeff" + LINES.replace("\n", "\r\n\n"),
    "a.ndjson": LINES.rstrip(),
    "list.json": json.dumps(ROWS),
    "pretty.json": "\ufeff\n" + json.dumps(ROWS, indent=4, ensure_ascii=False) + "\n",
    "lines.json": LINES,
    "follow.json": LINES.replace("\n", " "),
    "a.csv": quoted(","),
    "excel.csv": "\ufeff" + quoted(";"),
    "told.CSV": "sep=;\r\n" + quoted(";"),
    "tabs.csv": quoted("\t"),
    "mac.csv": quoted(",").replace("\r\n", "\r"),
    "a.tsv": quoted("\t"),
}


def read(path, columns=None):
    with Mistakes() as mistakes:
        found = list(rows(path, mistakes, columns))
    return [row for _, row in found], [place.rpartition("/")[2] for place, _ in found], mistakes


@pytest.mark.parametrize("name", TEXTS)
def test_same_rows_from_every_kind_of_text(tmp_path, name):
    (tmp_path / name).write_bytes(TEXTS[name].encode())
    assert read(tmp_path / name)[0] == ROWS


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("name", ["a.jsonl", "list.json", "excel.csv"])
def test_same_rows_from_compressed_files(tmp_path, name, packed):
    path = tmp_path / "deep" / "er" / (name + packed)
    path.parent.mkdir(parents=True)
    path.write_bytes(PACKED[packed](TEXTS[name].encode()))
    assert read(path)[0] == ROWS
    if packed and (whole := path.read_bytes()):
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=f"{path.name}.* be read to its end"):
            read(path)


@pytest.mark.parametrize(
    ("name", "text", "places"),
    [
        ("a.jsonl", '{"a": 1}\n\n{"a": 2}', ["a.jsonl:1", "a.jsonl:3"]),
        ("a.json", '[\n{"a":\n1},\n\n{"a": 2}]', ["a.json:2", "a.json:5"]),
        ("a.csv", 'a,b\n"x\ny",1\n\nz,2\n', ["a.csv:2", "a.csv:5"]),
        ("a.csv", 'sep=;\na;b\n"x\ny";1\nz;2\n', ["a.csv:3", "a.csv:5"]),
    ],
)
def test_places_are_where_rows_begin(tmp_path, name, text, places):
    (tmp_path / name).write_text(text)
    assert read(tmp_path / name)[1] == places


def test_parquet_in_batches(tmp_path):
    import pyarrow.parquet

    table = pyarrow.table({"a": [str(i) for i in range(600)], "b": [float("nan"), 1.5] * 300})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    found, places, _ = read(tmp_path / "a.parquet")
    assert found == [{"a": str(i), "b": [None, 1.5][i % 2]} for i in range(600)]
    assert places[0] == "a.parquet, row 1" and places[-1] == "a.parquet, row 600"


def test_parquet_structs_have_the_keys_that_were_given(tmp_path):
    import pyarrow.parquet

    given = [{"a": 1}, {"b": ["x", None]}]
    table = pyarrow.table({"call": given, "empty": [None, "y"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    found, _, _ = read(tmp_path / "a.parquet")
    assert found == [{"call": given[0], "empty": None}, {"call": given[1], "empty": "y"}]


def test_a_date_beyond_pythons_is_refused(tmp_path):
    import pyarrow.parquet

    table = pyarrow.table({"a": pyarrow.array([2**62], pyarrow.timestamp("us"))})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"found no Parquet \(date value out of range\)"):
        read(tmp_path / "a.parquet")


def test_nan_is_nothing(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": NaN, "b": [NaN, 0, "nan"]}')
    assert read(tmp_path / "a.jsonl")[0] == [{"a": None, "b": [None, 0, "nan"]}]
    (tmp_path / "a.csv").write_text("a,b,c,d\nnan,NaN,,0\n")
    assert read(tmp_path / "a.csv")[0] == [{"a": None, "b": None, "c": "", "d": "0"}]


BAD = [
    ("a.jsonl", b'{"a": 1, "a": 2}', 'a.jsonl:1: found no JSON (the key "a" is given twice'),
    ("a.jsonl", b'{"x": {"a": 1, "a": 2}}', 'the key "a" is given twice in an object'),
    ("a.jsonl", b'{"a": "b"} {}', "a.jsonl:1: found no JSON (Extra data at column 12); write"),
    ("a.jsonl", b'{"a": "b\xff"}', "encoding UTF-8 (it is byte 9 of the line)"),
    ("a.json", b'[\n{"a": 1, "a": 2}]', 'a.json:2: found no JSON (the key "a" is given twice in'),
    ("a.json", b'[{"a": 1}\n{"a": 2}]', "a.json:2: found no JSON (Expecting ',' or ']')"),
    ("a.json", b'[{"a": 1},\n]', "a.json:2: found no JSON (Expecting value)"),
    ("a.json", b'[{"a": 1}\n', "a.json:2: found no JSON (the list has no end)"),
    ("a.json", b'[{"a": 1}] {}', "a.json:1: found no JSON (Extra data)"),
    ("a.json", b'[{"a": \n"' + b"b" * 99999, "a.json:2: found no JSON (Unterminated string"),
    ("a.json", b'[{"a": x,' + b" " * 99999, "a.json:1: found no JSON (Expecting value)"),
    ("a.json", b"[" * 99999, "a.json:1: found no JSON (maximum recursion"),
    ("a.json", b"[1]", "a.json:1: found a int, expected a JSON object"),
    ("a.json", b'[{"a": "' + b"b" * 99992 + b"\xc3(", "a.json: found the byte 0xc3"),
    ("a.json", b'[{"a": "' + b"b" * 99992 + b"\xc3(", "(it is byte 100001 of the file)"),
    ("a.json", '[{"a": 1}]'.encode("utf-16"), "a.json: found the byte 0xff, expected UTF-8; save"),
    ("a.csv", b"a,b\n1,2\n3;4\n", "a.csv:3: found fewer cells than the 2 of the header; the sep"),
    ("a.csv", b"a;b\n1;2;3\n", "the separator is the semicolon: put quotes around text that"),
    ("a.csv", b"a,b;c\n1,2\n", "a.csv:1: found comma and semicolon in the header, expected one"),
    ("a.csv", b"a,b,a\n1,2,3\n", "a.csv:1: found two columns a, expected one; rename or remove"),
    ("a.csv", b"a,b\n1,\xe9\n3,4\n", "a.csv:2: found the byte 0xe9, expected UTF-8; save the"),
    ("a.csv", 'a,b\n1,"2\n3,4\n', "found no CSV (unexpected end of data); check the quotes"),
    ("a.zip", b"", "a.zip: expected one of *.jsonl, *.ndjson, *.json, *.csv, *.tsv, *.parquet"),
    ("a.parquet", b"PAR1", "a.parquet: found no Parquet ("),
    ("a.parquet.gz", b"", "a.parquet.gz: expected one of *.jsonl"),
    ("a.jsonl.gz", b"{}", "a.jsonl.gz: cannot be read to its end (Not a gzipped file"),
]


@pytest.mark.parametrize(("name", "data", "expected"), BAD)
def test_bad_file(tmp_path, name, data, expected):
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(UserError) as refused:
        read(tmp_path / name)
    head, *found = str(refused.value).replace(f"{tmp_path}/", "").split("\n")
    assert head == "the data has 1 mistake"
    assert expected in found[0]


def test_what_is_no_file(tmp_path):
    import os

    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").mkdir()
    for name, found in (("a", "something else"), ("b", "a folder"), ("c", "nothing")):
        with pytest.raises(UserError, match=f"{name}.jsonl: found {found}, expected a file"):
            read(tmp_path / f"{name}.jsonl")


def test_columns_are_renamed(tmp_path):
    (tmp_path / "a.csv").write_text("question,prompt,id\nx,y,1\n")
    found, _, mistakes = read(tmp_path / "a.csv", {"prompt": "question", "key": "id"})
    assert found == [{"prompt": "x", "key": "1"}]
    (note,) = mistakes.notes
    assert note.startswith("the column prompt, whose field")
    (tmp_path / "b.csv").write_text("question,id\n" + "x,1\n" * 3)
    with pytest.raises(UserError) as refused:
        read(tmp_path / "b.csv", {"prompt": "questions"})
    assert str(refused.value).count("found no column questions for prompt") == 1


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.jsonl.gz"])
def test_memory_is_that_of_a_row(tmp_path, name):
    row = {"text": "word " * 2000}
    line = json.dumps(row) + "\n"
    text = "text\n" + f"{row['text']}\n" * 2000 if "csv" in name else line * 2000
    data = text.encode()  # 20 MB
    (tmp_path / name).write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
    del data, text
    with Mistakes() as mistakes:
        tracemalloc.start()
        try:
            assert sum(row == found for _, found in rows(tmp_path / name, mistakes)) == 2000
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 2_000_000
