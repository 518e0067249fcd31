"""Rows of public sets as conversations: each key and value is read, refused by name, or counted."""

import csv
import io
import json

import pytest
from prepare_preferences import prepare_preferences
from prepare_sft import prepare_sft

from specialist.agent.react import parse, write_action, write_answer
from specialist.core.errors import UserError
from specialist.data.turns import ANSWERING, in_protocol
from toy_dataset import CHAT, jsonl, read

FILLER = {"messages": CHAT}
OUT = ("train.out", "validation.out", "train.places", "validation.places", "stats.out")
ANSWER = write_answer("hours.", "At nine.")
CALL = {"name": "find_bike", "arguments": {"number": 7}}
ACTION = write_action("I use find_bike.", **CALL)
OTHER = {"name": "find_car", "arguments": {}}
OTHER_ACTION = write_action("I use find_car.", **OTHER)


def prepared(folder, *rows, name="sft.jsonl", text=None):
    """The messages of all rows but the filler, as (role, content) or with the weight, and stats."""
    source = folder / name
    source.write_text(jsonl(*rows, FILLER) if text is None else text, encoding="utf-8")
    out = [folder / part for part in OUT]
    try:
        prepare_sft([source], *out, columns={}, validation_share=0.05, seed=1)
    except UserError as error:
        assert not any(path.exists() for path in out)
        head, *lines = str(error).replace(f"{folder}/", "").split("\n  ")
        return lines, None
    found = [row["messages"] for row in read(out[0]) + read(out[1]) if row != FILLER]
    stats = json.loads(out[4].read_text(encoding="utf-8"))
    return [[tuple(turn.values()) for turn in row] for row in found], stats


def gpt(*turns, **keys):
    """A ShareGPT row."""
    return {"conversations": [{"from": role, "value": value} for role, value in turns], **keys}


def asked(*turns, **keys):
    """A row with a question and messages of these keys."""
    return {"messages": [{"role": "user", "content": "q"}, *turns], **keys}


def said(content=ANSWER, **keys):
    return {"role": "assistant", "content": content, **keys}


def tool(content, **keys):
    return {"role": "tool", "content": content, **keys}


def function(call, **keys):
    """A call as OpenAI writes it."""
    return {
        "type": "function",
        "function": {**call, "arguments": json.dumps(call["arguments"])},
    } | keys


Q, A = ("user", "q"), ("assistant", ANSWER)
READ = {
    "weight": (asked(said(weight=0), {"role": "user", "content": "r"}, said(weight=1)),
        [Q, (*A, 0), ("user", "r"), A]),
    "loss": (asked(said(loss=False), {"role": "user", "content": "r"}, said(train=True)),
        [Q, (*A, 0), ("user", "r"), A]),
    "loss_mask": (asked(said(loss_mask=0), {"role": "user", "content": "r"}, said(loss_mask=1)),
        [Q, (*A, 0), ("user", "r"), A]),
    "call of Mistral": (asked(said(f"[TOOL_CALLS] [{json.dumps(CALL)}]"), tool("o"), said()),
        [Q, ("assistant", ACTION), ("tool", "o"), A]),
    "call of Llama": (asked(said(json.dumps({"name": CALL["name"], "parameters":
        CALL["arguments"]})), tool("o"), said()), [Q, ("assistant", ACTION), ("tool", "o"), A]),
    "answer in JSON": (asked(said('{"name": "Emma"}')),
        [Q, ("assistant", write_answer(ANSWERING, '{"name": "Emma"}'))]),
    "ids of both calls are one": (asked(said("", tool_calls=[function(CALL, id="1"),
        function(OTHER, id="1")]), tool("o", tool_call_id="1"), tool("p", tool_call_id="1"),
        said()), [Q, ("assistant", ACTION), ("tool", "o"), ("assistant", OTHER_ACTION),
        ("tool", "p"), A]),
    "system of ShareGPT": (gpt(("human", "q"), ("gpt", ANSWER), system="s", tools="[]"),
        [("system", "s"), Q, A]),
    "system beside messages": (asked(said(), system="s"), [("system", "s"), Q, A]),
    "history": ({"instruction": "q", "input": "", "output": ANSWER, "history": [["o", ANSWER]]},
        [("user", "o"), A, Q, A]),
    "no history": ({"instruction": "q", "input": None, "output": ANSWER, "history": []}, [Q, A]),
    "input alone": ({"instruction": "", "input": "q", "output": ANSWER}, [Q, A]),
    "input": ({"instruction": "q", "input": "0", "output": ANSWER}, [("user", "q\n\n0"), A]),
    "nan": ({"instruction": "q", "input": float("nan"), "output": ANSWER}, [Q, A]),
    "good label": ({"prompt": "q", "completion": ANSWER, "label": True}, [Q, A]),
    "function_call": (gpt(("human", "q"), ("function_call", json.dumps(CALL)),
        ("observation", "o"), ("gpt", ANSWER)), [Q, ("assistant", ACTION), ("tool", "o"), A]),
    "tool_call": (gpt(("user", "q"), ("tool_call", json.dumps([CALL])), ("tool_response", "o"),
        ("assistant", ANSWER)), [Q, ("assistant", ACTION), ("tool", "o"), A]),
    "from in messages": ({"messages": gpt(("human", "q"), ("gpt", ANSWER))["conversations"]},
        [Q, A]),
    "Hermes": (gpt(("human", "q"), ("gpt", f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>"),
        ("tool", "o"), ("gpt", ANSWER)), [Q, ("assistant", ACTION), ("tool", "o"), A]),
    "tool_calls": (asked(said(None, tool_calls=[function(CALL, id="1")]), tool("o",
        tool_call_id="1"), said()), [Q, ("assistant", ACTION), ("tool", "o"), A]),
    "thought and tool_calls": (asked(said("Look\nit up.", tool_calls=[function(CALL)]), tool("o"),
        said()), [Q, ("assistant", write_action("Look it up.", **CALL)), ("tool", "o"), A]),
    "reasoning and function_call": (asked(said(None, function_call=CALL, reasoning_content="r\ns"),
        {"role": "function", "name": "find_bike", "content": "o"}, said()),
        [Q, ("assistant", write_action("r s", **CALL)), ("tool", "o"), A]),
    "parallel calls": (asked(said("", tool_calls=[function(CALL, id="1"), function(OTHER, id="2")]),
        tool("p", tool_call_id="2"), tool("o", tool_call_id="1"), said()),
        [Q, ("assistant", ACTION), ("tool", "o"), ("assistant", OTHER_ACTION), ("tool", "p"), A]),
    "results in a row": (asked(said(ACTION), tool("o"), tool("p"), said()),
        [Q, ("assistant", ACTION), ("tool", "o\np"), A]),
    "developer": ({"messages": [{"role": "developer", "content": "s"},
        {"role": "user", "content": "q"}, said()]}, [("system", "s"), Q, A]),
    "parts": (asked(said([{"type": "text", "text": "Thought: hours."}, {"type": "output_text",
        "text": "Answer: At nine."}])), [Q, A]),
    "reasoning_content": (asked(said("At nine.", reasoning_content="hours.\n")), [Q, A]),
    "empty keys": (asked(said(tool_calls=None, images=[], refusal=None), tools=[], images=None),
        [Q, A]),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_row_is_read(tmp_path, name):
    row, expected = READ[name]
    found, stats = prepared(tmp_path, row)
    assert found == [expected]
    # The same row as cells of a table.
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, row)
    writer.writeheader()
    cells = {k: v if isinstance(v, (str, float)) else json.dumps(v) for k, v in row.items()}
    writer.writerow({k: "" if v == "null" else v for k, v in cells.items()})
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "filler.jsonl").write_text(jsonl(FILLER))
    (tmp_path / "csv" / "sft.csv").write_text(text.getvalue(), newline="")
    out = [tmp_path / "csv" / part for part in OUT]
    sources = [tmp_path / "csv" / "filler.jsonl", tmp_path / "csv" / "sft.csv"]
    prepare_sft(sources, *out, columns={}, validation_share=0.05, seed=1)
    table = [row["messages"] for row in read(out[0]) + read(out[1]) if row != FILLER]
    assert [[tuple(turn.values()) for turn in messages] for messages in table] == [expected]


def test_reading_is_reported(tmp_path, capsys):
    rows = [
        asked(said("yes"), id=1, source={"a": 1}),
        asked(said("no", name="x", mood="good"), source="b"),
        asked(said(ACTION), tool("o"), tool("p"), said(), prompt="q"),
    ]
    _, stats = prepared(tmp_path, *rows)
    assert stats["notes"] == {
        "results of tools in a row were joined to one": 1,
        "the key id is not used": 1,
        "the key messages[].mood is not used": 1,
        "the key messages[].name is not used": 1,
        "the key prompt is not used": 1,
        "the key source is not used": 2,
    }
    assert (stats["turns"], stats["readable"]) == (5, 3)
    assert stats["converted"] == {"plain replies to Answer:": 2}
    shown = capsys.readouterr().out
    assert "3 of 5 turns of the assistant had the agent's form already" in shown
    assert "WARNING: few turns" in shown
    assert "the key source is not used (2 times)" in shown


CHOSEN = {"prompt": "q", "chosen": "a", "rejected": "b"}
REFUSED = {
    "weight": (asked(said(weight=0.5)), "messages[1].weight: found 0.5, expected 0 or 1"),
    "weight of text": (asked(said(weight="0")), 'messages[1].weight: found "0", expected 0 or 1'),
    "weight on all": (asked(said(weight=0)), "found weight 0 on all turns of the assistant"),
    "weight of a row": ({"prompt": "q", "completion": "a", "weight": 0.2}, "weight: found 0.2, ex"),
    "other words for loss": (
        asked(said(train_on_turn=False)),
        "messages[1].train_on_turn: found train_on_turn, give `weight`: 0 to a message",
    ),
    "loss of a row": (asked(said(), loss_masks=[0]), "loss_masks: found loss_masks, give `weight`"),
    "label of a message": (asked(said(label=False)), "messages[1].label: found a bad answer"),
    "label in a table": (
        {"instruction": "q", "output": "a", "label": "False"},
        "label: found a ba",
    ),
    "kto_tag": ({"instruction": "q", "output": "a", "kto_tag": False}, "kto_tag: found a bad ans"),
    "system_prompt": (asked(said(), system_prompt="s"), "system_prompt: found system_prompt, call"),
    "ids of other calls": (
        asked(
            said("", tool_calls=[function(CALL, id="1"), function(OTHER, id="2")]),
            tool("o", tool_call_id="7"),
            tool("p", tool_call_id="1"),
            said(),
        ),
        "messages[1].tool_calls: found the ids 1, 2 of calls, and 7, 1 of results, expected the",
    ),
    "id of another call": (
        asked(said("", tool_calls=[function(CALL, id="1")]), tool("o", tool_call_id="2"), said()),
        "messages[1].tool_calls: found the ids 1 of calls, and 2 of results",
    ),
    "result after an answer": (
        asked(said("find_bike(7)"), tool("o"), said()),
        "messages[2].role: found the result of a tool after an answer, expected a call before it",
    ),
    "two forms of calls": (
        asked(said("", tool_calls=[CALL], function_call=OTHER), tool("o"), said()),
        "messages[1].tool_calls: found tool_calls and function_call, expected one of them",
    ),
    "arguments twice": (
        asked(said("", tool_calls=[{**CALL, "parameters": {"b": 1}}]), tool("o"), said()),
        "found arguments and parameters in a call, expected one of them",
    ),
    "tools": (asked(said(), tools=[{"name": "f"}]), "tools: found tools, the agent's tools are th"),
    "tools as text": (gpt(("human", "q"), ("gpt", "a"), tools='[{"name": 1}]'), "tools: found to"),
    "two systems": (
        gpt(("system", "s"), ("human", "q"), ("gpt", "a"), system="t"),
        "system: found a system message beside the one in the messages, expected one; remove one",
    ),
    "bad label": (
        {"prompt": "q", "completion": "a", "label": False},
        "label: found a bad answer (label false), expected answers to learn; remove the row, or "
        "write it as `rejected` of a row of preferences.jsonl",
    ),
    "label 0": ({"prompt": "q", "completion": "a", "label": 0}, "label: found a bad answer"),
    "preferences": (CHOSEN, "rows of preferences belong in preferences.jsonl"),
    "chosen": (
        {"prompt": "q", "completion": "a", "chosen": "b"},
        "found chosen, a row of preferences",
    ),
    "images": (asked(said(), images=["a.png"]), "images: found images, only text is read; remove"),
    "image part": (
        asked(said([{"type": "image_url", "image_url": {"url": "x"}}])),
        'messages[1].content[0]: found a part of the kind "image_url", expected text; only text',
    ),
    "refusal": (asked(said(refusal="no")), "messages[1].refusal: found refusal, write the refusal"),
    "history of messages": (asked(said(), history=[["a", "b"]]), "history: found earlier turns"),
    "history": (
        {"instruction": "q", "output": "a", "history": ["b"]},
        'history[0]: found "b", expected [question, answer]',
    ),
    "number": ({"instruction": "q", "input": 7, "output": "a"}, "input: found 7, expected text"),
    "zero": ({"instruction": "q", "input": 0, "output": "a"}, "input: found 0, expected text"),
    "false": ({"instruction": "q", "input": False, "output": "a"}, "input: found false, expected"),
    "object": ({"instruction": "q", "input": {"a": 1}, "output": "a"}, 'input: found {"a": 1}, e'),
    "output": ({"instruction": "q", "output": 1.5}, "output: found 1.5, expected text"),
    "system": (asked(said(), system=["s"]), 'system: found ["s"], expected text'),
    "nothing": ({"prompt": "q", "completion": float("nan")}, "completion: found nothing, expected"),
    "content": (asked(said({"a": 1})), 'messages[1].content: found {"a": 1}, expected text'),
    "no content": (asked(said(None)), "messages[1].content: found nothing, expected text"),
    "call without results": (
        asked(said(None, tool_calls=[CALL, OTHER]), tool("o"), said()),
        "messages[1].content: found 2 calls and 1 results after them, expected one result for each",
    ),
    "call of the user": (
        {"messages": [{"role": "user", "content": "q", "tool_calls": [CALL]}, said()]},
        "messages[0].tool_calls: found a call, expected calls only in turns of the assistant",
    ),
    "call beside an action": (
        asked(said(ANSWER, tool_calls=[CALL])),
        "messages[1].content: found an action or answer in the text beside a call",
    ),
    "text in function_call": (
        gpt(("human", "q"), ("function_call", "find bike 7"), ("observation", "o"), ("gpt", "a")),
        "conversations[1].value: the action is not a call: found no JSON",
    ),
    "role": (gpt(("human", "q"), ("robot", "a")), "expected one of system, human, user, gpt"),
    "thought alone": (asked(said("Thought: hm.")), "messages[1].content: found 'Thought:' in anot"),
    "action that is none": (asked(said("Thought: t\nAction: find(7)")), "the action is not a call"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_row_is_refused_by_name(tmp_path, name):
    row, expected = REFUSED[name]
    lines, stats = prepared(tmp_path, row)
    assert stats is None
    assert len(lines) == 1
    assert lines[0].startswith("sft.jsonl:1")
    assert expected in lines[0]


@pytest.mark.parametrize("kind", ["input", "messages"])
def test_parquet_values(tmp_path, kind):
    import pandas

    rows = [FILLER["messages"], [*CHAT, {**CHAT[0], "content": "r"}, {**CHAT[1], "weight": 0}]]
    table = {"messages": rows}
    if kind == "input":
        table = {"instruction": ["a", "b"], "output": ["c", "d"], "input": [float("nan"), 7.0]}
    pandas.DataFrame(table).to_parquet(tmp_path / "sft.parquet")
    out = [tmp_path / part for part in OUT]
    given = dict(columns={}, validation_share=0.05, seed=1)
    if kind == "input":
        with pytest.raises(UserError, match="sft.parquet, row 2, input: found 7.0, expected text"):
            prepare_sft([tmp_path / "sft.parquet"], *out, **given)
    else:
        prepare_sft([tmp_path / "sft.parquet"], *out, **given)
        found = [row["messages"] for row in read(out[0]) + read(out[1])]
        assert sorted(found, key=len) == rows


def test_unknown_columns_are_said_once(tmp_path):
    lines, _ = prepared(tmp_path, name="sft.csv", text="text,label\n" + "a,b\n" * 9)
    assert lines == [
        "sft.csv:2: found text, label, expected messages, conversations, instruction and output, "
        "or prompt and completion, or map your columns, such as "
        "`columns: {prompt: text, completion: ...}` of the dataset in config"
    ]


@pytest.mark.parametrize(
    ("turn", "expected", "how"),
    [
        (ANSWER, ANSWER, ""),
        (ACTION, ACTION, ""),
        ("At nine.", write_answer(ANSWERING, "At nine."), "plain replies to Answer:"),
        ("1. a\n\n2.  b\t", write_answer(ANSWERING, "1. a 2.  b"), "plain replies to Answer:"),
        ("Answer: At nine.", write_answer(ANSWERING, "At nine."), "turns without Thought:"),
        (f"Action: {json.dumps(CALL)}", ACTION, "turns without Thought:"),
        ("Thought: a\nb\nAnswer: c\nd", write_answer("a b", "c d"), "layout of turns"),
        ('Thought: I use find_bike.\nAction: {"arguments":{"number":7},"name":"find_bike"}',
            ACTION, "layout of turns"),
        ("<think>\nh.\n</think>\n\nThought: t.\nAnswer: x", write_answer("h. t.", "x"),
            "<think> to Thought:"),
        ("<think>\n</think>\nx", write_answer(ANSWERING, "x"), "<think> to Thought:"),
    ],
)  # fmt: skip
def test_turn_becomes_the_agents(turn, expected, how):
    assert in_protocol(turn) == (expected, how)
    assert in_protocol(expected) == (expected, "")
    assert "error" not in parse(expected)


@pytest.mark.parametrize(
    "turn",
    ["", "<think>a", "a</think>b", "<think>a</think>", "Answer:", "Thought: a", "Action: x",
     "Sure!\nAction: {}", "Answer: a\nAnswer: b", "Final answer: b",
     "<tool_call>{}</tool_call><tool_call>{}</tool_call>", 'Action: {"name": "a"}',
     'Action: {"name": "a", "arguments": {"b": 1, "b": 2}}',
     'Action: {"name": "a", "arguments": 1}'],
)  # fmt: skip
def test_turn_that_cannot_be_the_agents(turn):
    with pytest.raises(ValueError, match="found|the action is not a call|arguments"):
        in_protocol(turn)


def test_preferences(tmp_path):
    source = tmp_path / "preferences.jsonl"
    user = [{"role": "user", "content": "q"}]
    rows = [
        {"prompt": "q", "chosen": "Yes.", "rejected": "No.", "source": 1},
        {"prompt": user, "chosen": [said()], "rejected": [said("Thought: x\nAction: {")]},
        {"prompt": "r", "chosen": ANSWER, "rejected": "No."},
    ]
    source.write_text(jsonl(*rows))
    out = [tmp_path / part for part in OUT[:4]]
    prepare_preferences([source], *out, validation_share=0.05, seed=1)
    found = [row for path in out[:2] for row in read(path)]

    def row(question, chosen, rejected):
        turns = [[{"role": "assistant", "content": text}] for text in (chosen, rejected)]
        prompt = [{"role": "user", "content": question}]
        return {"prompt": prompt, "chosen": turns[0], "rejected": turns[1]}

    expected = [
        row("q", write_answer(ANSWERING, "Yes."), write_answer(ANSWERING, "No.")),
        row("q", ANSWER, "Thought: x\nAction: {"),
        row("r", ANSWER, "No."),
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "rejected: found the same as in chosen"),
        ({"prompt": "q", "chosen": "a", "rejected": None}, "rejected: found nothing, expected tex"),
        ({"prompt": "q", "chosen": [said(weight=0)], "rejected": "b"}, "chosen[0].weight: found 0"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "images": ["x"]}, "images: found images"),
        ({"prompt": "q", "chosen": [], "rejected": "b"}, "chosen: found no turn, expected one of"),
    ],
)
def test_bad_preferences(tmp_path, row, expected):
    (tmp_path / "preferences.jsonl").write_text(jsonl(row))
    out = [tmp_path / part for part in OUT[:4]]
    with pytest.raises(UserError) as refused:
        prepare_preferences([tmp_path / "preferences.jsonl"], *out, validation_share=0.05, seed=1)
    assert f"preferences.jsonl:1, {expected}" in str(refused.value)
