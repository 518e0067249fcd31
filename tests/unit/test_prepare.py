"""Preparation: every form of data becomes one, once, split by content, audited for leaks."""

import csv
import json
import unicodedata
from itertools import product

import pytest
from audit_leakage import audit_leakage
from hypothesis import given, settings
from hypothesis import strategies as st
from prepare_corpus import prepare_corpus
from prepare_sft import prepare_sft
from prepare_tasks import prepare_tasks

from specialist.core.errors import UserError
from specialist.data.corpus import PIECE
from specialist.data.leakage import audit
from toy_dataset import CHAT, DATABASE, TASK, TOOLS, jsonl, prepare, read, simulate


def prepared_corpus(folder, files, validation_share=0.25, seed=1):
    """Train rows, validation rows and counts of a corpus of {name: text}."""
    paths = []
    for name, text in files.items():
        paths.append(folder / name)
        paths[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
    return prepare(folder, paths, validation_share=validation_share, seed=seed)


def prepared_sft(folder, source, columns=None):
    """All rows, and counts, of one file."""
    out = [folder / name for name in ("train.out", "validation.out", "train.places", "v.places")]
    stats = folder / "stats.json"
    prepare_sft([source], *out, stats, columns=columns or {}, validation_share=0.05, seed=1)
    for rows, places in (out[::2], out[1::2]):
        assert rows.read_text().count("\n") == places.read_text().count("\n") > 0
    return read(out[0]) + read(out[1]), json.loads(stats.read_text())


def test_corpus_of_every_kind_of_file(tmp_path):
    files = {
        "a.txt": "First text.",
        "b.md": "\ufeff# Second\r\n\r\ntext\rhere",
        "c.jsonl": jsonl({"text": "Third", "source": "x"}, {"messages": CHAT}) + "\n\n",
    }
    train, validation, stats = prepared_corpus(tmp_path, files)
    rows = train + validation
    assert {"messages": CHAT} in rows
    texts = {row["text"] for row in rows if "text" in row}
    assert texts == {"First text.", "# Second\n\ntext\nhere", "Third"}
    assert stats["documents"] == stats["train"] + stats["validation"] == 4
    assert validation


def test_corpus_is_composed_unicode_without_empty_and_equal_documents(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Grüße, café")
    rows = [{"text": text} for text in ("Grüße, café", decomposed, "", " \n", "b\r\nc", "b\nc")]
    train, validation, stats = prepared_corpus(tmp_path, {"a.jsonl": jsonl(*rows)})
    assert sorted(row["text"] for row in train + validation) == ["Grüße, café", "b\nc"]
    assert (stats["empty"], stats["duplicates"]) == (2, 2)


def test_long_text_is_cut_between_paragraphs(tmp_path):
    paragraphs = [f"{number} " * (PIECE // 10) for number in range(8)]
    whole = "x" * 2 * PIECE
    text = "\n\n".join([*paragraphs, whole, "end"])
    train, validation, stats = prepared_corpus(tmp_path, {"a.txt": text})
    pieces = {row["text"] for row in train + validation}
    parts = [*("\n\n".join(paragraphs[i : i + 4]) for i in (0, 4)), whole, "end"]
    assert pieces == set(parts)
    assert stats["documents"] == 4


def test_split_is_by_content(tmp_path):
    rows = [{"text": f"Document {number}."} for number in range(2000)]
    (tmp_path / "b").mkdir()
    train, validation, _ = prepared_corpus(tmp_path, {"a.jsonl": jsonl(*rows)}, 0.05)
    assert 60 <= len(validation) <= 140
    more = [{"text": "A new one."}, *rows[::-1]]
    train_2, validation_2, _ = prepared_corpus(tmp_path / "b", {"x.jsonl": jsonl(*more)}, 0.05)
    new = {"text": "A new one."}
    assert [row for row in validation_2 if row != new] == validation[::-1]
    assert [row for row in train_2 if row != new] == train[::-1]
    _, other, _ = prepared_corpus(tmp_path, {"a.jsonl": jsonl(*rows)}, 0.05, seed=2)
    assert other != validation


def chat(question, answer):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def said(text):
    """An answer as the agent writes it."""
    return f"Thought: greet.\nAnswer: {text}"


FORMS = {
    "messages": lambda question, answer: {"messages": chat(question, answer)},
    "sharegpt": lambda question, answer: {
        "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    },
    "alpaca": lambda question, answer: {"instruction": question, "input": "", "output": answer},
    "prompt": lambda question, answer: {"prompt": question, "completion": answer},
    "conversational prompt": lambda question, answer: {
        "prompt": chat(question, answer)[:1],
        "completion": chat(question, answer)[1:],
    },
}
OTHER = {"messages": chat("Bye.", said("!"))}


def write_jsonl(path, rows):
    path.write_text(jsonl(*rows), encoding="utf-8")


def write_csv(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row in rows:
            cells = {k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()}
            writer.writerow(cells)


def write_parquet(path, rows):
    import pandas

    pandas.DataFrame(rows).to_parquet(path)


WRITERS = {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}


# A prompt in a cell of CSV is text.
FILES = sorted({*product(FORMS, WRITERS)} - {("conversational prompt", "csv")})


@pytest.mark.parametrize(("form", "kind"), FILES)
def test_every_form_in_every_kind_of_file_prepares_the_same_bytes(tmp_path, form, kind):
    pairs = [
        ("Hello?", said("Good day.")),
        ('Two\nlines, "quoted"?', said("Sch\u00f6n.")),
        ("Bye.", said("!")),
    ]
    made = {}
    for name, extension in (("messages", "jsonl"), (form, kind)):
        folder = tmp_path / f"{name} {extension}"
        folder.mkdir(exist_ok=True)
        source = folder / f"sft.{extension}"
        WRITERS[extension](source, [FORMS[name](*pair) for pair in pairs])
        rows, _ = prepared_sft(folder, source)
        made[name, extension] = [path.read_bytes() for path in sorted(folder.glob("*.out"))]
        assert sorted(rows, key=str) == sorted(({"messages": chat(*p)} for p in pairs), key=str)
    assert made[form, kind] == made["messages", "jsonl"]


def test_alpaca_input_and_system_prompt(tmp_path):
    row = {"system": "Be kind.", "instruction": "Add.", "input": "1 + 1", "output": said("2")}
    (tmp_path / "sft.jsonl").write_text(jsonl(row, OTHER))
    rows, _ = prepared_sft(tmp_path, tmp_path / "sft.jsonl")
    assert [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Add.\n\n1 + 1"},
        {"role": "assistant", "content": said("2")},
    ] in [row["messages"] for row in rows]


def test_agent_turns_and_sharegpt_tools(tmp_path):
    turns = [
        ("human", "q"),
        ("gpt", '<tool_call>{"name": "a", "arguments": {}}</tool_call>'),
        ("observation", "o"),
        ("gpt", "b"),
        ("human", "c"),
        ("gpt", "d"),
    ]
    row = {"conversations": [{"from": role, "value": text} for role, text in turns]}
    (tmp_path / "sft.jsonl").write_text(jsonl(row, row, OTHER))
    rows, stats = prepared_sft(tmp_path, tmp_path / "sft.jsonl")
    roles = ["user", "assistant", "tool", "assistant", "user", "assistant"]
    assert roles in [[turn["role"] for turn in row["messages"]] for row in rows]
    assert (stats["duplicates"], stats["assistant_turns"]) == (1, 4)


def test_csv_with_other_column_names(tmp_path):
    text = f'question,reply,id\r\n"Hello?","{said("Good day.")}",1\r\n'
    text += '"Two\nlines, a ""quote""",Fine.,2\r\n'
    (tmp_path / "sft.csv").write_text(text, newline="")
    columns = {"prompt": "question", "completion": "reply"}
    rows, _ = prepared_sft(tmp_path, tmp_path / "sft.csv", columns)
    assert {"messages": CHAT} in rows
    assert 'Two\nlines, a "quote"' in [row["messages"][0]["content"] for row in rows]


def test_parquet_with_another_column_name(tmp_path):
    import pandas

    pandas.DataFrame({"dialogue": [CHAT, OTHER["messages"]]}).to_parquet(tmp_path / "sft.parquet")
    rows, _ = prepared_sft(tmp_path, tmp_path / "sft.parquet", {"messages": "dialogue"})
    assert sorted(rows, key=str) == sorted([{"messages": CHAT}, OTHER], key=str)


def prepared_tasks(folder, tasks, training=(), tools=TOOLS, database=DATABASE, limit=0):
    """Tasks and leakage of a suite beside a small library."""
    files = {"tasks.jsonl": jsonl(*tasks), "corpus.jsonl": jsonl(*training)}
    files |= {"tools.yaml": tools, "database.sql": database}
    for name, text in files.items():
        if text is not None:
            (folder / name).write_text(text)
    prepare_tasks(
        [folder / "tasks.jsonl"],
        [] if tools is None else folder / "tools.yaml",
        [] if database is None else folder / "database.sql",
        folder / "out.jsonl",
        articles=["renewals.md"],
        max_steps=8,
        context=1024,
        max_messages=12,
    )
    audit_leakage(
        folder / "out.jsonl",
        [folder / "corpus.jsonl"],
        folder / "leakage.json",
        max_leaking_tasks=limit,
    )
    return read(folder / "out.jsonl"), json.loads((folder / "leakage.json").read_text())


def test_task_is_filled_in(tmp_path):
    small = {"id": "a", "message": "Cafe\u0301?", "expect": {"answer": ["yes"]}}
    tasks, leakage = prepared_tasks(tmp_path, [TASK, small | {"session": {"reader": 1}}])
    assert tasks[0] == TASK | {"kind": "task", "turns_on_kb": False}
    assert tasks[1]["message"] == "Caf\u00e9?"
    assert tasks[1]["expect"] == {"answer": ["yes"], "database": {}}
    assert (tasks[1]["kb"], tasks[1]["entities"]) == ([], [])
    assert "solution" not in tasks[1]
    assert leakage == {
        "n_tasks": 2,
        "n_shorter": 1,
        "run_words": 8,
        "training_texts": 0,
        "n_leaking": 0,
        "leaking": [],
        "limit": 0,
        "passed": True,
    }


def test_parts_that_nothing_needs_may_be_missing(tmp_path):
    task = {"id": "a", "message": "How long?", "kb": ["renewals.md"], "expect": {"answer": ["two"]}}
    solution = [
        {"thought": "t", "call": "search", "arguments": {"query": "loans"}},
        {"thought": "t", "answer": "two weeks"},
    ]
    tasks, _ = prepared_tasks(tmp_path, [task | {"solution": solution}], (), None, None)
    assert tasks[0]["solution"] == solution


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        ("He said: please LET me keep\nDracula for two more weeks.", False),
        ("Please let me keep the Emma for two more weeks.", False),
        ("please, let me keep EMMA for two more weeks?", True),
        ("please let me keep card 9921 for two more weeks", True),  # another name, same words
        ("let me keep for two more weeks", False),  # seven words
        ("card 77310 and card 771", False),
        ("the reader of Card 7731 has it", True),
    ],
)
def test_leak_is_found(tmp_path, text, leaks):
    training = [{"text": "nothing"}, {"messages": [{"role": "user", "content": text}, CHAT[1]]}]
    if leaks:
        with pytest.raises(UserError) as refused:
            prepared_tasks(tmp_path, [TASK], training)
        assert f"renew-1 and {tmp_path / 'corpus.jsonl'}:2: " in str(refused.value)
        assert not (tmp_path / "leakage.json").exists()
        _, leakage = prepared_tasks(tmp_path, [TASK], training, limit=1)
        assert (leakage["n_leaking"], leakage["passed"], leakage["limit"]) == (1, True, 1)
        assert leakage["leaking"][0]["line"] == 2
    else:
        _, leakage = prepared_tasks(tmp_path, [TASK], training)
        assert leakage["n_leaking"] == 0


WORDS = st.lists(st.sampled_from("abcd"), max_size=30)


@given(message=WORDS, text=WORDS, length=st.integers(1, 6))
@settings(deadline=None)
def test_audit_finds_exactly_the_shared_runs(tmp_path_factory, message, text, length):
    path = tmp_path_factory.getbasetemp() / "training.jsonl"
    path.write_text(jsonl({"text": ", ".join(text).upper()}))
    task = {"id": "t", "message": " ".join(message), "entities": []}
    runs, seen = (
        {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}
        for words in (message, text)
    )
    shared = sorted(" ".join(run) for run in runs & seen)
    leaking = audit([task], [path], length)["leaking"]
    assert [leak["run"] for leak in leaking] == shared[:1]


@pytest.mark.parametrize("text", ["One two.", "Three four.", "Five six.", "Seven eight."])
def test_audit_reads_everything_that_a_customer_may_say(tmp_path, text):
    rule = {"hears": "which", "says": ["Three four.", "Five six."]}
    asked = {"says": ["Nothing here.", "One two."], "replies": [rule]}
    customer = {"replies": [{"hears": "what", "says": "Seven eight."}]}
    task = {"id": "t", "requests": [asked], "customer": customer, "entities": []}
    (tmp_path / "training.jsonl").write_text(jsonl({"text": f"So: {text}"}))
    assert audit([task], [tmp_path / "training.jsonl"], 2)["n_leaking"] == 1
    assert audit([task], [tmp_path / "training.jsonl"], 3)["n_leaking"] == 0


def test_audit_reads_all_sides_of_preferences(tmp_path):
    said = [{"role": "user", "content": "nothing at all"}]
    row = {"prompt": said, "chosen": said, "rejected": [{"role": "assistant", "content": "a b c"}]}
    (tmp_path / "training.jsonl").write_text(jsonl(row))
    task = {"id": "t", "message": "A, b and c", "entities": []}
    assert audit([task], [tmp_path / "training.jsonl"], 3)["n_leaking"] == 0
    task["message"] = "A, b, c"
    assert audit([task], [tmp_path / "training.jsonl"], 3)["n_leaking"] == 1


def test_simulated_dataset_passes_and_does_not_leak(tmp_path):
    folder = simulate(tmp_path / "data", documents=3000, episodes=300, tasks=320)
    out = [tmp_path / f"{part}.{name}" for part in "cs" for name in ("train", "valid", "stats")]
    places = [tmp_path / f"{name}.places" for name in ("train", "valid")]
    corpus = [folder / "corpus/corpus.jsonl"]
    prepare_corpus(corpus, *out[:2], *places, out[2], validation_share=0.02, seed=1)
    given = {"columns": {}, "validation_share": 0.05, "seed": 1}
    prepare_sft([folder / "sft.jsonl"], *out[3:5], *places, out[5], **given)
    stats = json.loads(out[5].read_text())
    assert stats["readable"] == stats["turns"] > 900
    assert (stats["converted"], stats["notes"]) == ({}, {})
    prepared = {json.dumps(row) for path in out[3:5] for row in read(path)}
    assert prepared == {json.dumps(row) for row in read(folder / "sft.jsonl")}
    prepare_tasks(
        [folder / "tasks.jsonl"],
        *(folder / name for name in ("tools.yaml", "database.sql")),
        tmp_path / "tasks.jsonl",
        articles=[path.name for path in (folder / "kb").iterdir()],
        max_steps=8,
        context=1024,
        max_messages=12,
    )
    audit_leakage(
        tmp_path / "tasks.jsonl",
        [out[0], out[1], out[3], out[4]],
        tmp_path / "leakage.json",
        max_leaking_tasks=0,
    )
    assert read(tmp_path / "tasks.jsonl") == read(folder / "tasks.jsonl")
    leakage = json.loads((tmp_path / "leakage.json").read_text())
    assert (leakage["n_tasks"], leakage["n_leaking"]) == (360, 0)  # 40 conversations
    rows = sum(json.loads(path.read_text())["train"] for path in (out[2], out[5]))
    assert leakage["training_texts"] > rows > 2500
