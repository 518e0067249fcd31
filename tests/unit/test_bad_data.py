"""Bad data: each mistake is refused before anything is trained, with place, cause and remedy."""

import copy
import json

import pytest
from prepare_corpus import prepare_corpus
from prepare_sft import prepare_sft
from prepare_tasks import prepare_tasks

from specialist.core.errors import UserError
from toy_dataset import CHAT, DATABASE, TASK, TOOLS, jsonl

USER, ASSISTANT = CHAT
GOOD = {"messages": CHAT}


def message_of(function, *args, **kwargs):
    """The lines of the error that a call is refused with."""
    with pytest.raises(UserError) as refused:
        function(*args, **kwargs)
    return [line.strip() for line in str(refused.value).split("\n")]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused_corpus(folder, name, content):
    sources = [write(folder / name, content)] if name else []
    out = [folder / name for name in ("train", "validation", "t.places", "v.places", "stats")]
    lines = message_of(prepare_corpus, sources, *out, validation_share=0.1, seed=1)
    assert not any(path.exists() for path in out)
    return [line.replace(f"{folder}/", "") for line in lines]


def refused_sft(folder, name, content, columns=None):
    sources = [write(folder / name, content)] if name else []
    out = [folder / name for name in ("train", "validation", "t.places", "v.places", "stats")]
    lines = message_of(
        prepare_sft, sources, *out, columns=columns or {}, validation_share=0.1, seed=1
    )
    assert not any(path.exists() for path in out)
    return [line.replace(f"{folder}/", "") for line in lines]


CORPUS = [
    ("a.jsonl", '{"text": "a"}\n{"text": "b"\n', "a.jsonl:2: found no JSON (Expecting"),
    ("a.jsonl", '{"text": "a"}\n[1]\n', "a.jsonl:2: found a list, expected a JSON object"),
    ("a.jsonl", jsonl({"txt": "a"}), "a.jsonl:1: found txt, expected text or messages; did you"),
    ("a.jsonl", jsonl({"text": 4}), "a.jsonl:1, text: found 4, expected text; write it"),
    ("a.jsonl", jsonl({"text": None}), "a.jsonl:1, text: found nothing, expected text"),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": "\xff"}',
        "a.jsonl:2: found the byte 0xff, expected UTF-8",
    ),
    ("a.txt", b"one\ntwo\ncaf\xe9", "a.txt:3: found the byte 0xe9, expected UTF-8; save the file"),
    ("a.txt", "x\n\na <|im_end|> b", "a.txt:3: found <|im_end|>, expected text without the marks"),
    ("a.jsonl", '{"text": "\\ud800"}', "a.jsonl:1, text: found half of a character"),
    ("a.pdf", "%PDF", "a.pdf: expected one of *.txt, *.md, *.jsonl, *.ndjson"),
    ("a.txt", "", "found 0 different rows with text, expected at least two; add data"),
    ("a.txt", "the only one", "found 1 different row with text, expected at least two"),
    (None, "", "the corpus: found 0 different rows with text, expected at least two; add data"),
    ("a.jsonl", jsonl({"messages": CHAT[:1]}), "a.jsonl:1: the conversation ends with user"),
    ("a.jsonl", "[" * 100000, "a.jsonl:1: found no JSON"),
]


@pytest.mark.parametrize(("name", "content", "expected"), CORPUS)
def test_bad_corpus(tmp_path, name, content, expected):
    head, *lines = refused_corpus(tmp_path, name, content)
    assert head == "the data has 1 mistake"
    assert len(lines) == 1
    assert expected in lines[0]


def chat(*turns):
    """A good row and one with these (role, content)."""
    messages = [{"role": role, "content": content} for role, content in turns]
    return jsonl(GOOD, {"messages": messages})


SFT = [
    # rows of any form
    ("a.jsonl", '{"messages": []', "a.jsonl:1: found no JSON"),
    ("a.jsonl", jsonl({"mesages": CHAT}), "a.jsonl:1: found mesages, expected messages, conv"),
    ("a.jsonl", jsonl({"mesages": CHAT}), "in config; did you mean messages?"),
    ("a.jsonl", jsonl({"messages": 4}), "a.jsonl:1, messages: found 4, expected a list of objects"),
    ("a.jsonl", jsonl({"messages": []}), "a.jsonl:1: the conversation ends with nothing"),
    ("a.jsonl", jsonl({"instruction": "a"}), "a.jsonl:1, output: found nothing, expected text"),
    ("a.jsonl", jsonl({"prompt": "a"}), "a.jsonl:1, completion: found nothing, expected text"),
    ("a.jsonl", jsonl({"prompt": CHAT[:1]}), "a.jsonl:1, completion: found null, expected a list"),
    (
        "a.jsonl",
        jsonl({"conversations": [{"from": "humn", "value": "a"}]}),
        'a.jsonl:1, conversations[0].from: found "humn", expected one of system, human',
    ),
    # messages
    (
        "a.jsonl",
        chat(("user", "a"), ("assistant", None)),
        "a.jsonl:2, messages[1].content: found not",
    ),
    ("a.jsonl", chat(("user", " "), ("assistant", "b")), "messages[0].content: found no content"),
    (
        "a.jsonl",
        chat(("user", "a"), ("bot", "b")),
        'messages[1].role: found "bot", expected one of',
    ),
    (
        "a.jsonl",
        chat(("usr", "a")),
        'messages[0].role: found "usr", expected one of system, developer, '
        "user, assistant, tool, function; did you mean user?",
    ),
    (
        "a.jsonl",
        chat(("assistant", "a")),
        "messages[0].role: found assistant first, expected system or user",
    ),
    (
        "a.jsonl",
        chat(("user", "a"), ("user", "b")),
        "messages[1].role: found user after user, expected",
    ),
    ("a.jsonl", chat(("user", "a"), ("system", "b")), "messages[1].role: found system after user"),
    ("a.jsonl", chat(("user", "a"), ("tool", "b")), "messages[1].role: found tool after user"),
    (
        "a.jsonl",
        chat(("user", "a"), ("assistant", 'Action: {"name": "b", "arguments": {}}'), ("tool", "c")),
        "a.jsonl:2: the conversation "
        "ends with tool, expected a turn of the assistant; add it or remove the row",
    ),
    (
        "a.jsonl",
        chat(("user", "<|im_start|>"), ("assistant", "b")),
        "messages[0].content: found <|im_s",
    ),
    (
        "a.jsonl",
        jsonl({"messages": [USER, {**ASSISTANT, "tool_calls": [{"name": "x"}]}]}),
        'a.jsonl:1, messages[1].tool_calls: the action is not a call: found {"name": "x"}, exp',
    ),
    # files
    ("a.jsonl", b'{"messages": "\xfe"}', "a.jsonl:1: found the byte 0xfe, expected UTF-8"),
    ("a.jsonl", "", "a.jsonl: found 0 different rows with text, expected at least two"),
    ("a.jsonl", jsonl(GOOD, GOOD), "a.jsonl: found 1 different row with text, expected at least"),
    (None, "", "the training data: found 0 different rows"),
    (
        "a.xlsx",
        "",
        "a.xlsx: expected one of *.jsonl, *.ndjson, *.json, *.csv, *.tsv, *.parquet, text",
    ),
    ("a.csv", 'prompt,completion\nx,y\n"a\n', "a.csv:3: found no CSV (unexpected end of data)"),
    (
        "a.csv",
        "prompt,completion\na,b\na,b,c\n",
        "a.csv:3: found more cells than the 2 of the header",
    ),
    ("a.csv", "prompt,completion\na\n", "a.csv:2: found fewer cells than the 2 of the header"),
    ("a.csv", "messages\nhello\n", "a.csv:2, messages: found no JSON"),
    ("a.csv", "messages\n" + 100000 * "[", "a.csv:2, messages: found no JSON (maximum recursion"),
    (
        "a.jsonl",
        jsonl(GOOD).strip().encode("utf-16-le"),
        "a.jsonl:1: found a NUL, expected text in UTF-8",
    ),
    (
        "a.jsonl",
        jsonl({"conversations": [{"from": ["human"], "value": "a"}]}),
        'a.jsonl:1, conversations[0].from: found ["human"], expected one of system, human',
    ),
    ("a.csv", b"prompt,completion\na,\xe9\n", "a.csv:2: found the byte 0xe9, expected UTF-8"),
    ("a.parquet", "PAR0", "a.parquet: found no Parquet"),
]


@pytest.mark.parametrize(("name", "content", "expected"), SFT)
def test_bad_conversations(tmp_path, name, content, expected):
    head, *lines = refused_sft(tmp_path, name, content)
    assert head == "the data has 1 mistake"
    assert len(lines) == 1
    assert expected in lines[0]


def test_column_that_is_not_there(tmp_path):
    columns = {"prompt": "question", "completion": "answer"}
    text = "questions,answer\na,b\nc,d\n"
    lines = refused_sft(tmp_path, "a.csv", text, columns)
    assert lines[1] == (
        "a.csv: found no column question for prompt, expected it as config names it under "
        "columns; did you mean questions?"
    )


def test_several_mistakes_are_shown_at_once(tmp_path):
    rows = [{"text": "good"}, {"text": 1}, {"text": "<|pad|>"}, {"text": None}]
    assert len(refused_corpus(tmp_path, "a.jsonl", jsonl(*rows))) == 4
    lines = refused_corpus(tmp_path, "a.jsonl", jsonl(*[{"text": 1}] * 500))
    assert lines[0] == "the data has 20 mistakes or more"
    assert len(lines) == 21


def refused_tasks(folder, tasks=None, tools=TOOLS, database=DATABASE):
    """The lines that a suite is refused with; a part that is None is left out."""
    suite = jsonl(TASK) if tasks is None else tasks
    parts = {"tools.yaml": tools, "database.sql": database}
    given = [[] if text is None else write(folder / name, text) for name, text in parts.items()]
    out = folder / "tasks.out"
    lines = message_of(
        prepare_tasks,
        [write(folder / "tasks.jsonl", suite)],
        *given,
        out,
        articles=["renewals.md"],
        max_steps=8,
        context=1024,
        max_messages=12,
    )
    assert not out.exists()
    return [line.replace(f"{folder}/", "") for line in lines]


TOOL_MISTAKES = [
    ("- name: renew", "- nam: renew", "tools.yaml, [1].nam: unknown key, expected one of name"),
    ("weeks: {type: integer}", "weeks: {type: weeks}", "[1].parameters.properties.weeks.type"),
    ("weeks: {type: integer}", "weeks: {type: list}", "expected one of string, integer, number"),
    (
        "weeks: {type: integer}",
        "weeks: {type: integer, minimum: a}",
        "tool renew, parameters."
        "properties.weeks.minimum: this is not a JSON schema: 'a' is not of type 'number'",
    ),
    (
        "weeks: {type: integer}",
        "weeks: {type: array}",
        "[1].parameters.properties.weeks.items: is missing",
    ),
    (
        "title: {type: string}, weeks",
        "title: {type: string, enum: [9:30, Emma]}, weeks",
        "tools.yaml:16: found 9:30, which YAML reads as 570; write 570, or put quotes around it",
    ),
    (
        "weeks: {type: integer}",
        "weeks: {type: integer, maximum: 9:30}",
        "tools.yaml:16: found 9:30, which YAML reads as 570; write 570, or put quotes around it",
    ),
    (
        "title: {type: string}, weeks",
        "title: {type: string, const: yes}, weeks",
        "properties.title.const: found yes, which YAML reads as true, expected text; put quotes",
    ),
    (
        "title: {type: string}, weeks",
        "title: {type: string, enum: [2026-05-12]}, weeks",
        "properties.title.enum[0]: found a date (2026-05-12), expected text or a number; put quot",
    ),
    (
        "title: {type: string}, weeks",
        "title: {type: string, pattern: '^E', default: Dracula}, weeks",
        "properties.title.default: 'Dracula' does not match '^E', as its own schema requires",
    ),
    (
        "weeks: {type: integer}",
        "weeks: {type: integer, maximum: 4, examples: [2, 5]}",
        "properties.weeks.examples[1]: 5 is greater than the maximum of 4",
    ),
    (
        "title: {type: string}, weeks",
        "title: {type: string, pattern: '('}, weeks",
        "title.pattern: found '(', expected a regular expression that RE2 reads (missing )",
    ),
    (
        "title: {type: string}, weeks",
        r"title: {type: string, pattern: '^\p{Lu}{2}$', default: Emma}, weeks",
        r"'Emma' does not match '^\\p{Lu}{2}$', as its own schema requires",
    ),
    (
        "title: {type: string}, weeks",
        r"title: {type: string, pattern: '^(?=E)(a|a)*\1$'}, weeks",
        "expected a regular expression that RE2 reads (invalid perl operator: (?=); write it "
        "without look-around and back-references",
    ),
    (
        "title: {type: string}, weeks",
        "title: {type: object, properties: {}, patternProperties: {'(': {}}}, weeks",
        "properties.title.patternProperties: found patternProperties, but the agent writes only",
    ),
    (
        "weeks: {type: integer}",
        "weeks: {type: integer, enum: [010, 4]}",
        "tools.yaml:16: found 010, which YAML reads as 8; write 8, or put quotes around it",
    ),
    (
        "title: {type: string}, weeks",
        "title: {type: string, anyOf: [{enum: [Emma, no]}, {minLength: 9}]}, weeks",
        "properties.title.anyOf[0].enum[1]: found no, which YAML reads as false, expected text",
    ),
    (
        "weeks: {type: integer}",
        "weeks: {type: integer, maximum: .inf}",
        "properties.weeks.maximum: found inf, expected a finite number",
    ),
    (
        "title: {type: string}, weeks",
        "yes: {type: string}, weeks",
        "tools.yaml:16: found yes as a name, which YAML does not read as text; put quotes",
    ),
    (
        "- name: renew",
        "- name: renew\n  name: renew",
        "tools.yaml:13: found name twice in one group",
    ),
    ("- name: renew", "- name: &a [*a]", "tools.yaml: found no YAML (an alias refers to itself"),
    (
        "description: Renew a loan.",
        "description: yes",
        "[1].description: found true, expected text, at least 1 character; put quotes around it",
    ),
    (
        "SELECT 1 FROM loans WHERE title = :title AND reader = :reader",
        "SELECT 1; SELECT 1",
        "tool find_book, require[0].sql: found 2 statements, expected one statement",
    ),
    (
        "  sql: UPDATE",
        "  sql: COMMIT; UPDATE",
        "sql: found 'COMMIT;': it must read and change rows",
    ),
    (
        "UPDATE loans SET due = due + :weeks WHERE title = :title AND reader = :reader",
        "PRAGMA writable_schema = 1",
        "found 'PRAGMA writable_schema = 1': it must read and change rows",
    ),
    (
        "required: [title, weeks]",
        "required: [title, week]",
        "tool renew, parameters.required: found "
        "week, expected the name of one of the properties; did you mean weeks?",
    ),
    ("name: renew", "name: find_book", "tool find_book, name: another tool has this name"),
    ("name: renew", "name: search", "tool search, name: the search tool has this name"),
    ("name: renew", "name: re new", '[1].name: found "re new", expected text of the form'),
    ("SET due", "SETT due", "tool renew, sql: found 'UPDATE loans SETT due"),
    ("UPDATE loans", "UPDATE loan", "SQLite says: no such table: loan; fix the statement"),
    ("  sql: UPDATE", "  sql: DROP TABLE loans; UPDATE", "tool renew, sql"),
    (
        "UPDATE loans SET due = due + :weeks WHERE title = :title AND reader = :reader",
        "DROP TABLE loans",
        "tool renew, sql: found 'DROP TABLE loans': it must read and change rows",
    ),
    (
        "SELECT 1 FROM loans WHERE title = :title AND reader = :reader",
        "DELETE FROM loans",
        "tool find_book, require[0].sql: found 'DELETE FROM loans': it must only read",
    ),
    (
        "due + :weeks",
        "due + :week",
        "tool renew, sql: found :week, expected a required parameter or "
        "a key of the tasks' session (title, weeks, reader); did you mean weeks?",
    ),
    (
        "required: [title, weeks]",
        "required: [title]",
        "tool renew, sql: found :weeks, expected a req",
    ),
    ("due + :weeks", "due + ?", "tool renew, sql: found 'UPDATE loans SET due = due + ?"),
    (
        "weeks: {type: integer}}",
        "weeks: {type: integer}, reader: {type: integer}}",
        "tool renew, "
        "parameters.properties.reader: the tasks' session sets this value, so the model must not",
    ),
    (
        "weeks: {type: integer}",
        'weeks: {type: integer, $ref: "#/x"}',
        "tool renew, parameters: found $ref, expected a schema without references",
    ),
    ("- name: renew", "- name: [renew", "tools.yaml:13: found no YAML"),
    ("- name: renew", "- name: " + 1500 * "[", "tools.yaml: found no YAML (maximum recursion"),
    (
        "  returns: SELECT due FROM loans WHERE title = :title\n- name: renew",
        "- name: renew",
        "tools.yaml, [0].returns: is missing, expected text",
    ),
    (
        "  sql: UPDATE",
        "  claims: ['renewed', '(?=renewed)']\n  sql: UPDATE",
        "tool renew, claims[1]: found '(?=renewed)', expected a regular expression that RE2 reads "
        "(invalid perl operator: (?=); write it without look-around and back-references",
    ),
    (
        "  sql: UPDATE",
        "  claims: ['(renewed)?']\n  sql: UPDATE",
        "tool renew, claims[0]: found '(renewed)?', which matches every text; write words that",
    ),
    (
        "  sql: UPDATE",
        "  confirm: {'yes': '(ja'}\n  sql: UPDATE",
        "tool renew, confirm.yes: found '(ja', expected a regular expression that RE2 reads (missi",
    ),
    (
        "  sql: UPDATE",
        "  confirm: {yes: ja}\n  sql: UPDATE",
        "tools.yaml:18: found yes as a name, which YAML does not read as text; put quotes",
    ),
    ("  sql: UPDATE", "  confirm: maybe\n  sql: UPDATE", 'tools.yaml, [1].confirm: found "maybe"'),
    (
        "  sql: UPDATE",
        "  said: [titel]\n  sql: UPDATE",
        "tool renew, said[0]: found titel, expected the name of a parameter; did you mean title?",
    ),
    (
        "title: {type: string}, weeks: {type: integer}}\n    required: [title, weeks]",
        "title: {type: string}, weeks: {type: boolean}}\n    required: [title, weeks]\n"
        "  said: [weeks]",
        "tool renew, said[0]: found weeks, which is of the type boolean, expected a parameter",
    ),
    (
        "  sql: UPDATE",
        "  fallback: {arguments: {title: Emma}, answer: 'I have asked a person.'}\n  sql: UPDATE",
        "tool renew, fallback.arguments: 'weeks' is a required property; the tool renew cannot",
    ),
    (
        "  sql: UPDATE",
        '  fallback: {arguments: {title: Emma, weeks: 1}, answer: "a\\nb"}\n  sql: UPDATE',
        "tools.yaml, [1].fallback.answer: found ",
    ),
    (
        "- name: renew\n",
        "  fallback: &f {arguments: {title: Emma}, answer: A person will write.}\n"
        "- name: renew\n  fallback: *f\n",
        "tool renew, fallback: the tool find_book has a fallback too, expected one; remove one",
    ),
    (
        "- name: renew\n",
        "  fallback: {arguments: {title: Emma}, answer: The loan is renewed.}\n"
        "- name: renew\n  claims: ['is renewed']\n",
        "tool find_book, fallback.answer: this claims what the tool renew does, which the fallback",
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), TOOL_MISTAKES)
def test_bad_tool(tmp_path, old, new, expected):
    assert old in TOOLS
    task = {**TASK, "solution": TASK["solution"][2:]}  # it must not be what is wrong
    _, *lines = refused_tasks(tmp_path, jsonl(task), tools=TOOLS.replace(old, new, 1))
    assert all(line.startswith("tools.yaml") for line in lines)
    assert any(expected in line for line in lines)


def test_tools_that_are_no_list(tmp_path):
    assert refused_tasks(tmp_path, tools="name: x")[1].startswith("tools.yaml: expected a list")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (DATABASE.replace("INSERT", "INSRT"), "database.sql:3: SQLite says: near"),
        (DATABASE.replace("'Emma', 1", "'Emma'"), "database.sql:3: SQLite says: all VALUES"),
        (DATABASE + "SELECT * FROM lones;", "database.sql:6: SQLite says: no such table: lones"),
        (DATABASE + "ATTACH 'other.db' AS x;", "database.sql:6: SQLite says: not authorized"),
        (
            DATABASE + "BEGIN;",
            "database.sql:6: this opens a transaction that no statement ends; is",
        ),
        (DATABASE + "PRAGMA writable_schema=1", "database.sql:6: found PRAGMA writable_schema"),
        (DATABASE + "-- \0", "database.sql:6: found a NUL, expected text in UTF-8"),
        (DATABASE.encode() + b"-- \xff", "database.sql:6: found the byte 0xff, expected UTF-8"),
    ],
)
def test_bad_database(tmp_path, script, expected):
    lines = refused_tasks(tmp_path, database=script)
    assert len(lines) == 2
    assert expected in lines[1]


def changed(**changes):
    """The good task with values set at places such as expect__database."""
    task = copy.deepcopy(TASK)
    for place, value in changes.items():
        *parents, key = place.split("__")
        entry = task
        for parent in parents:
            entry = entry[int(parent) if parent.isdigit() else parent]
        entry[key] = value
    return jsonl(task)


ROW = {"title": "Emma", "reader": 1, "due": 3}
LONGER = [*TASK["solution"][:1] * 7, *TASK["solution"][1:]]
TASK_MISTAKES = [
    # what playing the task shows
    (
        changed(expect__database__loans__added=[{**ROW, "due": 6}]),
        "tasks.jsonl:1, expect.database.loans.added.due: expected 6, found 5 after the solution",
    ),
    (
        changed(session={"reader": 2}),
        "tasks.jsonl:1, expect.database.loans.added: expected "
        '{"due": 5, "reader": 1, "title": "Emma"}, which does not happen after the solution',
    ),
    (
        changed(expect__answer=["15"]),
        'tasks.jsonl:1, expect.answer[0]: expected "15" in the answer "It is due in 5 weeks."',
    ),
    (changed(solution=LONGER), "solution: found 9 steps, but agent.max_steps allows 8; shorten"),
    (changed(solution=LONGER[6:7] + LONGER[6:]), "solution[1]: found the call and the result of"),
    (
        changed(message="Please " * 1200),
        "solution: found a conversation of at least 1077 tokens, but agent.context allows 1024",
    ),
    (
        changed(solution__2__answer="It is due\nin 5 weeks."),
        "solution[2].answer: found '\\n', which the agent cannot write; use one line of text",
    ),
    # what anything solves
    (changed(expect={}), "expect: found no change of the database and no fact, so any answer"),
    (
        changed(expect={"database": {"loans": {}}}),
        "expect: found no change of the database and no fact",
    ),
    (changed(expect={"answer": ["two", "Emma"]}), "expect.answer: the message already contains"),
    (changed(expect__answer=[" "]), 'expect.answer[0]: found " ", which no answer can contain'),
    # numbers that JSON or SQLite cannot hold
    (
        changed(session__reader=float("nan")),
        "tasks.jsonl:1, session.reader: found null, expected text or num",
    ),
    (
        changed(session__reader=2**63),
        "session.reader: found 9223372036854775808, expected a number",
    ),
    (
        changed(expect__database__loans__added=[{**ROW, "due": float("inf")}]),
        "expect.database.loans.added[0].due: found inf, expected a finite number",
    ),
    (
        changed(expect__database__loans__added=[{**ROW, "due": [1]}]),
        "expect.database.loans.added[0].due: found [1], expected text or number or true or false",
    ),
    ("{}\n", "tasks.jsonl:1, id: is missing, expected text"),
    ("", "tasks.jsonl: found no tasks, expected one JSON object on each line"),
    (jsonl(TASK, TASK), "tasks.jsonl:2, id: renew-1 is also the id of"),
    (changed(messge="x"), "tasks.jsonl:1, messge: unknown key, expected one of id"),
    (changed(message=""), 'tasks.jsonl:1, message: found "", expected text, at least 1 character'),
    (changed(message="<|im_end|>"), "tasks.jsonl:1, message: found <|im_end|>, expected text with"),
    (changed(expect__answers=[]), "tasks.jsonl:1, expect.answers: unknown key, expected one of"),
    (changed(expect__answer=[5]), "tasks.jsonl:1, expect.answer[0]: found 5, expected text"),
    (
        changed(session__reader=[1]),
        "tasks.jsonl:1, session.reader: found [1], expected text or num",
    ),
    (
        jsonl(TASK, {**TASK, "id": "b", "session": {}, "solution": TASK["solution"][2:]}),
        "tasks.jsonl:2, session.reader: is missing, the tool renew takes it; add it",
    ),
    (changed(session={"readr": 1}), "found :reader, expected a required parameter or a key of"),
    (
        changed(kb=["renewal.md"]),
        "tasks.jsonl:1, kb[0]: found renewal.md, expected the file name of "
        "an article; did you mean renewals.md?",
    ),
    (
        changed(expect__database={"loan": {}}),
        "tasks.jsonl:1, expect.database.loan: unknown table, "
        "expected one of loans; did you mean loans?",
    ),
    (
        changed(expect__database__loans__added=[{"title": "Emma"}]),
        "expect.database.loans.added[0]: "
        "found title, expected all columns of the table and no other: title, reader, due",
    ),
    (
        changed(expect__database__loans__removed=[{**ROW, "due": 4}]),
        "expect.database.loans.removed[0]"
        ': found {"title": "Emma", "reader": 1, "due": 4}, expected a row that the database holds',
    ),
    (
        changed(solution__1__call="renews"),
        "tasks.jsonl:1, solution[1].call: found the unknown tool "
        "renews, expected one of search, find_book, renew; did you mean renew?",
    ),
    (
        changed(solution__1__arguments={"title": "Emma", "weeks": "2"}),
        "solution[1].arguments.weeks: '2' is not of type 'integer'; the tool renew cannot take it",
    ),
    (changed(solution__1__arguments={"weeks": 2}), "solution[1].arguments: 'title' is a required"),
    (changed(solution__1__arguments={"title": "E", "weeks": 2, "x": 1}), "('x' was unexpected)"),
    (
        changed(solution=TASK["solution"][:2]),
        "solution[1]: found thought, call, arguments, expected answer, as it is the last step",
    ),
    (changed(solution=TASK["solution"][::-1]), "solution[0]: found thought, answer, expected call"),
    (changed(id="\ud800"), "tasks.jsonl:1: found half of a character"),
    (changed(solution__2__answer="<|im_end|>"), "tasks.jsonl:1: found <|im_end|>, expected text"),
    (b'{"id": "\xff"}', "tasks.jsonl:1: found the byte 0xff, expected UTF-8"),
]


@pytest.mark.parametrize(("tasks", "expected"), TASK_MISTAKES)
def test_bad_task(tmp_path, tasks, expected):
    assert any(expected in line for line in refused_tasks(tmp_path, tasks)[1:])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tools": None}, "solution[1].call: found the unknown tool renew, expected one of search"),
        (
            {"tools": None, "database": None},
            "expect.database.loans: unknown table, there is no database.sql",
        ),
        ({"database": None}, "tool find_book, require[0].sql: found 'SELECT 1 FROM loans"),
    ],
)
def test_missing_or_bad_part(tmp_path, changes, expected):
    assert any(expected in line for line in refused_tasks(tmp_path, **changes)[1:])


def test_good_task_is_good(tmp_path):
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        refused_tasks(tmp_path)
    assert json.loads((tmp_path / "tasks.out").read_text())["id"] == "renew-1"
