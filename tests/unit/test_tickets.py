"""Tickets become documents of the corpus and held-out messages; no thread is divided."""

import json
import mailbox
import random
from email.message import EmailMessage

import pyarrow
import pyarrow.parquet
import pytest

from dataset.prepare_tickets import prepare_tickets
from specialist.core.errors import UserError
from specialist.data.leakage import audit
from specialist.data.threads import Message, together

WORDS = [a + b for a in ("ba", "de", "fi", "go", "lu", "ra") for b in ("n", "rt", "sk", "m", "le")]
QUOTE = "\n\nOn Mon, 3 Feb 2025 at 10:00, Eva <eva@x.org> wrote:\n> {}\n> the end\n"
CLOSING = "\n\nBest regards,\nEva Smith\nTel. 123\n"


def sentence(seed, count=30):
    return " ".join(random.Random(seed).choices(WORDS, k=count))


def mail(text, number, *, sender="eva@x.org", to="help@shop.example", answers=None, **headers):
    found = EmailMessage()
    found["From"], found["To"] = sender, to
    found["Subject"] = f"{'Re: ' if answers else ''}Order {answers or number}"
    found["Message-ID"] = f"<{number}@x.org>"
    found["Date"] = f"Mon, 03 Feb 2025 10:{len(str(answers or '')):02}:00 +0000"
    if answers:
        found["In-Reply-To"] = f"<{answers}@x.org>"
    for name, value in headers.items():
        found[name.replace("_", "-")] = value
    found.set_content(text)
    return found


def prepared(folder, *sources, **given):
    """(texts of the corpus, held-out rows, counts)"""
    out = [folder / name for name in ("corpus.out", "held.out", "places.out", "stats.out")]
    settings = {"columns": {}, "agents": [], "share": 0.3, "unreadable": "refuse", "seed": 1}
    prepare_tickets([*sources], *out, **settings | given)
    corpus, held_out = (
        [json.loads(line) for line in path.read_text().splitlines()] for path in out[:2]
    )
    assert len(out[2].read_text().splitlines()) == len(held_out)
    return [row["text"] for row in corpus], held_out, json.loads(out[3].read_text())


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_mbox_of_threads(tmp_path):
    box = mailbox.mbox(tmp_path / "support.mbox")
    for number in range(100, 130):
        question = sentence(number)
        first = mail(question + CLOSING, number, sender=f"c{number}@x.org")
        if number < 103:
            first.add_attachment(b"x", maintype="image", subtype="png", filename="a.png")
        box.add(first)
        reply = f"We refund {number} at once." + QUOTE.format(question)
        box.add(mail(reply, f"r{number}", sender="help@shop.example", answers=number))
    box.add(first)  # as in another folder
    box.add(mail("I am away.", "auto", Auto_Submitted="auto-replied"))
    box.flush()
    corpus, held_out, counts = prepared(
        tmp_path, tmp_path / "support.mbox", agents=["@shop.example"]
    )
    assert counts["messages"] == 61 and counts["repeated"] == 1
    assert counts["threads"] == 30 == len(corpus) + len(held_out)
    assert 3 <= len(held_out) <= 15
    assert counts["notes"] == {
        "attachments ignored": 3,
        "automatic replies left out": 1,
        "mails whose quoted text was removed": 30,
        "signatures removed": 31,
    }
    said = {row["message"] for row in held_out}
    texts = {f"Order {n}\n\n{sentence(n)}": n for n in range(100, 130)}
    assert said < texts.keys()
    assert sorted(corpus) == [
        f"Subject: Order {n}\n\nCustomer: {sentence(n)}\n\nAgent: We refund {n} at once."
        for text, n in texts.items()
        if text not in said
    ]
    tasks = [row | {"entities": []} for row in held_out]
    assert audit(tasks, [tmp_path / "corpus.out"], 8)["n_leaking"] == 0


def test_split_is_by_the_first_message_and_the_seed(tmp_path):
    rows = [{"thread": n, "message": sentence(n)} for n in range(60)]
    _, before, _ = prepared(tmp_path, jsonl(tmp_path / "a.jsonl", *rows))
    # A new ticket, another order of the file, and further messages in each thread.
    later = [{"thread": n, "message": f"thanks {n}"} for n in range(60)]
    more = [{"thread": "new", "message": sentence("new")}, *rows[::-1], *later]
    corpus, after, counts = prepared(tmp_path, jsonl(tmp_path / "b.jsonl", *more))
    names = {row["id"] for row in after} - {row["id"] for row in before}
    assert {row["id"] for row in before} <= {row["id"] for row in after}
    assert len(names) <= 1 and counts["threads"] == 61
    assert all("\n\nCustomer: thanks" in text for text in corpus if sentence("new") not in text)
    _, other, _ = prepared(tmp_path, tmp_path / "a.jsonl", seed=2)
    assert other != before
    corpus, held_out, _ = prepared(tmp_path, tmp_path / "a.jsonl", share=0)
    assert len(corpus) == 60 and not held_out


def test_near_duplicates_stay_on_one_side(tmp_path):
    rows = [{"message": sentence(n, 60)} for n in range(40)]
    near = [{"message": f"{row['message']} again", "reply": f"Dear {n}"}
            for n, row in enumerate(rows)]  # fmt: skip
    corpus, held_out, counts = prepared(tmp_path, jsonl(tmp_path / "a.jsonl", *rows, *near, *rows))
    assert counts["duplicates"] == 40 and counts["near_duplicates"] == 80
    assert counts["shared"] == 0 and len(held_out) > 3
    for row in held_out:
        assert not any(row["message"][:200] in text for text in corpus)
    assert len(corpus) + len(held_out) == 80


def test_held_out_message_that_shares_words_with_the_corpus_is_left_out(tmp_path):
    form = "this message was sent by the form on our page"
    rows = [{"message": f"{sentence(n)} {form if n % 2 else ''}"} for n in range(40)]
    corpus, held_out, counts = prepared(tmp_path, jsonl(tmp_path / "a.jsonl", *rows))
    assert counts["shared"] > 0 and held_out
    assert not any(form in row["message"] for row in held_out)
    assert len(corpus) + len(held_out) + counts["shared"] == 40
    with pytest.raises(UserError, match="all .* share eight consecutive words"):
        prepared(tmp_path, jsonl(tmp_path / "b.jsonl", *rows[1::2]))


def test_columns_of_a_table(tmp_path):
    table = tmp_path / "tickets.csv"
    lines = [f"{n};Order {n};{sentence(n)};We refund it, {n}.;high" for n in range(20)]
    table.write_text("\n".join(["no;title;body;answer;priority", *lines]))
    columns = {"thread": "no", "subject": "title", "message": "body", "reply": "answer"}
    corpus, _, counts = prepared(tmp_path, table, columns=columns)
    assert corpus[0].startswith("Subject: Order ") and "\n\nAgent: We refund it, " in corpus[0]
    assert counts["notes"] == {"the key priority is not used": 20}
    with pytest.raises(UserError, match="found no column text for message.*names it under columns"):
        prepared(tmp_path, table, columns={"message": "text"})
    with pytest.raises(UserError, match=r"tickets.csv:2: .*expected message or messages"):
        prepared(tmp_path, table)


def test_conversations_in_parquet_and_roles(tmp_path):
    chat = [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Where is it?"},
            {"from": "bot", "value": "On its way."}]  # fmt: skip
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist([{"messages": chat}]), tmp_path / "a.parquet"
    )
    corpus, _, counts = prepared(tmp_path, tmp_path / "a.parquet")
    assert corpus == ["Customer: Where is it?\n\nAgent: On its way."]
    assert counts["notes"] == {"messages of the role system are not used": 1}
    texts = [Message("", "Hello", name, keys=("k",)) for name in ("Eva", "Max")]
    assert together(texts, [])[0].roles == ["customer", "agent"]
    assert together(texts, ["eva"])[0].roles == ["agent", "customer"]


def test_reply_without_references_joins_the_mail_of_its_people_and_subject(tmp_path):
    box = mailbox.mbox(tmp_path / "a.mbox")
    for number, sender in enumerate(["eva@x.org", "max@x.org"], 1):
        found = mail(sentence(number), number, sender=sender)
        found.replace_header("Subject", "Order")
        box.add(found)
    reply = mail("We refund it.", 9, sender="help@shop.example", to="max@x.org", answers=5)
    del reply["In-Reply-To"]
    reply.replace_header("Subject", "AW: Order")
    box.add(reply)
    box.flush()
    corpus, _, counts = prepared(tmp_path, tmp_path / "a.mbox", share=0)
    assert counts["threads"] == 2
    assert [text.count("Agent:") for text in corpus] == [0, 1]


CASES = ["html", "latin-1", "wrong", "inline", "below", "question", "long"]


@pytest.mark.parametrize("case", CASES)
def test_text_of_a_mail(tmp_path, case):
    found = mail("x", 1)
    expected = "Wo bleibt die Bestellung für Köln?"
    notes = {}
    if case == "html":
        quote = "<blockquote>Old words</blockquote><style>p {}</style>"
        found.set_content(f"<p>Wo bleibt <b>die</b> Bestellung<br>für Köln?</p>{quote}", "html")
        expected = "Wo bleibt die Bestellung\nfür Köln?"
    elif case == "latin-1":
        found.set_content(expected, charset="iso-8859-1")
    elif case == "wrong":
        found = None
        raw = f"From: eva@x.org\nContent-Type: text/plain; charset=utf-8\n\n{expected}\n"
        data = raw.encode("cp1252")
        notes = {"mails with bytes outside of their encoding, read as Windows-1252": 1}
    elif case == "inline":
        found.set_content(f"> You said\n{expected}\n> and more\n")
        notes = {"mails whose quoted text was removed": 1}
    elif case == "below":
        found.set_content(QUOTE.format("You said").strip() + f"\n\n{expected}\n")
        notes = {"mails whose quoted text was removed": 1}
    elif case == "question":  # what a closing begins is a question
        expected = "My food is late.\nThanks, but when will you refund it?"
        found.set_content(expected)
    elif case == "long":  # the library alone takes minutes for such a mail
        expected = "On " * 3000 + "end"
        found.set_content(expected + "\n" * 30_000 + "-- \nEva\n", cte="base64")
        notes = {"signatures removed": 1}
    (tmp_path / "a.eml").write_bytes(found.as_bytes() if found else data)
    corpus, _, counts = prepared(tmp_path, tmp_path / "a.eml")
    assert corpus[0].removeprefix("Subject: Order 1\n\n") == f"Customer: {expected}"
    assert counts["notes"] == notes


def test_unreadable_and_empty_tickets_are_named(tmp_path, capsys):
    sources = [tmp_path / name for name in ("a.txt", "b.eml", "c.mbox", "d.txt", "e.txt", "f.eml")]
    sources[0].write_bytes("Köln".encode("cp1252"))
    sources[1].write_text("Content-Type: application/pkcs7-mime\n\nxx")
    sources[2].write_text("no mbox")
    sources[3].write_text(" \n")
    sources[4].write_text("Where is my order?")
    sources[5].write_text("Content-Type: image/png\n\nxx")
    with pytest.raises(UserError) as error:
        prepared(tmp_path, *sources)
    for words in (
        "a.txt:1: found the byte 0xf6, expected UTF-8", "b.eml: found an encrypted mail",
        "c.mbox: found no mbox, expected a file whose first line", "`unreadable: skip`",
    ):  # fmt: skip
        assert words in str(error.value)
    assert not (tmp_path / "corpus.out").exists()
    corpus, _, counts = prepared(tmp_path, *sources, unreadable="skip")
    assert corpus == ["Customer: Where is my order?"]
    assert (counts["skipped"], counts["empty"]) == (3, 2)
    said = capsys.readouterr().out
    assert f"left out: {sources[1]}: found an encrypted mail" in said
    assert f"has no text, left out: {sources[3]}" in said and f"left out: {sources[5]}" in said


def test_damaged_mails_do_not_end_in_a_traceback(tmp_path):
    whole = mail(sentence(1), 1).as_bytes()
    whole += mail("x", 2).as_bytes().replace(b"Content-Transfer-Encoding: 7bit", b"Content: =?")
    generator = random.Random(3)
    for number in range(60):
        data = bytearray(whole)
        for _ in range(generator.randrange(1, 40)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        (tmp_path / f"{number}.eml").write_bytes(bytes(data))
    try:
        prepared(tmp_path, *tmp_path.glob("*.eml"), unreadable="skip")
    except UserError as error:
        assert "mistake" in str(error)


def test_files_that_cannot_hold_tickets(tmp_path):
    (tmp_path / "a.eml.gz").write_bytes(b"x")
    with pytest.raises(UserError, match="mails and texts that are not compressed"):
        prepared(tmp_path, tmp_path / "a.eml.gz")
    with pytest.raises(UserError, match="found no ticket with text"):
        prepared(tmp_path, jsonl(tmp_path / "a.jsonl", {"message": " "}))
    with pytest.raises(UserError, match=r"messages: found .*expected a list of objects"):
        prepared(tmp_path, jsonl(tmp_path / "b.jsonl", {"messages": ["a"]}))
