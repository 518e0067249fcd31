"""Reads lists of messages, in the forms of public sets, as conversations.

Keys that change what a message means are read or refused by name. Other keys are counted.
"""

import json
import re
from collections import deque
from dataclasses import dataclass, field, replace

from specialist.agent.react import ANSWER, THOUGHT
from specialist.core.schema_errors import near
from specialist.data.formats import check_text
from specialist.data.turns import LABEL, calls, write_call

CALL = "call"  # an assistant's turn whose text is a tool call
CHAT_ROLES = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant",
    "tool": "tool", "function": "tool",
}  # fmt: skip
SHAREGPT_ROLES = {
    "system": "system", "human": "user", "user": "user", "gpt": "assistant",
    "assistant": "assistant", "function_call": CALL, "tool_call": CALL, "observation": "tool",
    "function": "tool", "function_response": "tool", "tool": "tool", "tool_response": "tool",
}  # fmt: skip
# Which role may follow which; a conversation ends with the assistant.
NEXT = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant",),
}
# Names of the same: 0 or false, no loss on the turn.
WEIGHTS = ("weight", "loss", "loss_weight", "loss_mask", "train")
# Other keys that say what is trained; whether 0 or 1 means that differs.
LOSS = re.compile(
    r"(^|_)(no)?(loss|train|trainable|training|learn|mask|masked|masking|weights?)(_|$)"
)
REASONING = ("reasoning_content", "reasoning", "thinking")
# Keys that are needed only to read a call.
OF_CALLS = ("tool_calls", "function_call", "tool_call_id")
MEDIA = ("images", "image", "audio", "audios", "videos", "video", "files", "documents")
REFUSED = {
    **dict.fromkeys(MEDIA, "only text is read; remove the key or the row"),
    **dict.fromkeys(
        ("prefix", "ignore", "skip"),
        "give `weight`: 0 to a message that carries no loss",
    ),
    "refusal": "write the refusal as the content",
    **dict.fromkeys(("tools", "functions"), "the agent's tools are those of tools.yaml"),
}
ANSWERS = re.compile(rf"^{ANSWER}", re.MULTILINE)


@dataclass
class Turn:
    """A message, and its place in the row: paths of keys and numbers."""

    role_path: tuple
    role: str
    path: tuple
    content: object
    weight: int = 1
    calls: list = field(default_factory=list)
    converted: str = ""  # what was changed to make it the agent's
    answers: object = None  # id of the call that it is the result of


def refusal(key, refused):
    """Why a key must be refused, or None: a text of `refused`, or it says what is trained."""
    if key not in refused and LOSS.search(key.lower()):
        return "give `weight`: 0 to a message that carries no loss"
    return refused.get(key)


def is_empty(value):
    """Whether a value counts as a missing key."""
    return value is None or value == "" or value == [] or value == {}


def message_turns(messages, mistakes, place, name="messages"):
    """What `check_messages` takes, from {"role", "content"} or ShareGPT's {"from", "value"}.

    Tool calls become text, as the agent writes them; each of several calls in one message
    becomes a turn, and its result follows it.

    Returns:
        list of Turn; None if it is no such list.
    """
    if not isinstance(messages, list) or not all(isinstance(turn, dict) for turn in messages):
        found = json.dumps(messages, default=str)[:80]
        mistakes.add(place, name, text=f"found {found}, expected a list of objects")
        return None
    turns = []
    for number, message in enumerate(messages):
        turn = _turn(message, mistakes, place, name, number)
        if turn is None:
            return None
        turns.append(turn)
    return _with_results(turns, mistakes, place)


def _turn(message, mistakes, place, *path):
    """One message as a Turn; None if a key or the role is wrong."""
    before = len(mistakes.found)
    sharegpt = "from" in message
    speaker, said = ("from", "value") if sharegpt else ("role", "content")
    roles = SHAREGPT_ROLES if sharegpt else CHAT_ROLES
    role = message.get(speaker)
    if not isinstance(role, str) or role not in roles:
        expected = f"one of {', '.join(roles)}{near(role, roles)}"
        found = json.dumps(role, default=str)
        return mistakes.add(place, *path, speaker, text=f"found {found}, expected {expected}")
    content = _text(message.get(said), mistakes, place, *path, said)
    turn = Turn((*path, speaker), roles[role], (*path, said), content)
    turn.answers = message.get("tool_call_id")
    _read_keys(message, turn, (speaker, said), mistakes, place, path)
    asked = [key for key in ("tool_calls", "function_call") if not is_empty(message.get(key))]
    try:
        if turn.role == CALL:
            turn.role, turn.calls, turn.content = "assistant", calls(turn.content), ""
        elif asked:
            key = asked[0]
            if len(asked) > 1:
                raise ValueError(f"found {' and '.join(asked)}, expected one of them")
            turn.calls = calls(message[key])
            if turn.role != "assistant":
                raise ValueError("found a call, expected calls only in turns of the assistant")
    except ValueError as error:
        mistakes.add(place, *path, asked[0] if asked else said, text=f"{error}; fix the call")
    if turn.calls and turn.content is not None:  # it is the thought
        turn.content = check_text(turn.content, mistakes, place, *path, said)
        if turn.content and LABEL.search(turn.content.removeprefix(THOUGHT)):
            found = "found an action or answer in the text beside a call, expected the thought"
            mistakes.add(place, *path, said, text=f"{found} alone; split the turn")
        turn.content = turn.content and turn.content.removeprefix(THOUGHT)
    return turn if len(mistakes.found) == before else None


def _read_keys(message, turn, read, mistakes, place, path):
    """Read, refuse or count the keys of a message other than role and content."""
    for key, value in message.items():
        if key in read or key in OF_CALLS or is_empty(value):
            continue
        if key in WEIGHTS:
            if value not in (0, 1) or isinstance(value, str):
                found = json.dumps(value, default=str)
                mistakes.add(place, *path, key, text=f"found {found}, expected 0 or 1")
            elif turn.role in ("assistant", CALL):
                turn.weight = min(turn.weight, int(value))
        elif key in REASONING and turn.role == "assistant":
            reasoning = check_text(value, mistakes, place, *path, key)
            turn.content = f"<think>{reasoning}</think>\n\n{turn.content or ''}"
        elif why := refusal(key, REFUSED):
            mistakes.add(place, *path, key, text=f"found {key}, {why}")
        elif key == "label" and value is False:
            text = "found a bad answer (label false); give it `weight`: 0 or remove the row"
            mistakes.add(place, *path, key, text=text)
        elif key == "name" and turn.role == "tool":
            continue  # the call before it says the same
        else:
            mistakes.note(f"the key {path[0]}[].{key} is not used")


def _text(content, mistakes, place, *path):
    """The content of a message: as it is, or the text of a list of text parts."""
    if not isinstance(content, list):
        return content
    texts = []
    for number, part in enumerate(content):
        part = {"text": part} if isinstance(part, str) else part
        kind = part.get("type", "text") if isinstance(part, dict) else None
        if kind not in ("text", "input_text", "output_text"):
            found = json.dumps(kind if kind else part, default=str)[:80]
            text = f"found a part of the kind {found}, expected text; only text is read"
            mistakes.add(place, *path, number, text=text)
        else:
            texts.append(check_text(part.get("text"), mistakes, place, *path, number, "text"))
    return "\n".join(text or "" for text in texts)


def _with_results(turns, mistakes, place):
    """Turns with the calls as text; each of several calls is followed by its result."""
    found, waiting = [], deque(turns)
    while waiting:
        turn = waiting.popleft()
        found.append(turn)
        if not turn.calls:
            continue
        results = []
        while len(turn.calls) > 1 and waiting and waiting[0].role == "tool":
            results.append(waiting.popleft())
        if len(turn.calls) > 1 and len(results) != len(turn.calls):
            text = f"found {len(turn.calls)} calls and {len(results)} results after them"
            return mistakes.add(
                place, *turn.path, text=f"{text}, expected one result for each call"
            )
        answering = results or [turn for turn in [*waiting][:1] if turn.role == "tool"]
        try:
            ordered = _in_order(turn.calls, answering)
        except ValueError as error:
            text = f"{error}; fix the ids"
            return mistakes.add(place, *turn.path[:-1], "tool_calls", text=text)
        found.pop()
        for number, call in enumerate(turn.calls):
            try:
                text = write_call(call, turn.content or "" if number == 0 else "")
            except ValueError as error:
                return mistakes.add(place, *turn.path, text=f"{error}; fix the call")
            made = "tool calls to Action:"
            found.append(replace(turn, content=text, calls=[], converted=made))
            if results:
                found.append(ordered[number])
    return found


def _in_order(calls, results):
    """Results in the order of their calls, by ids if both have them."""
    ids, answers = [call[2] for call in calls], [result.answers for result in results]
    if not answers or not any(map(_is_told, ids)) or not any(map(_is_told, answers)):
        return results
    ids, answers = [str(each) for each in ids], [str(each) for each in answers]
    if sorted(ids) != sorted(answers):
        found = f"found the ids {', '.join(ids)} of calls, and {', '.join(answers)} of results"
        raise ValueError(f"{found}, expected the same")
    if len(set(ids)) < len(ids):
        return results
    return [results[answers.index(each)] for each in ids]


def _is_told(identity):
    return not is_empty(identity)


def check_messages(turns, mistakes, place):
    """A conversation as messages, or None if something is wrong with it.

    Args:
        turns: list of Turn.

    Returns:
        list of {"role", "content"}; an assistant's message without loss has "weight": 0 too.
        Results of tools that stand in a row are one message.
    """
    before, messages, ended = len(mistakes.found), [], None
    for turn in turns:
        text = check_text(turn.content, mistakes, place, *turn.path)
        if turn.role == ended == "tool":
            mistakes.note("results of tools in a row were joined to one")
            messages[-1]["content"] = f"{messages[-1]['content']}\n{text}"
            continue
        if (
            turn.role == "tool"
            and ended == "assistant"
            and ANSWERS.search(messages[-1]["content"] or "")
        ):
            text = "found the result of a tool after an answer, expected a call before it; "
            mistakes.add(place, *turn.role_path, text=f"{text}write the call as `tool_calls`")
            return None
        if turn.role not in NEXT[ended]:
            after = f"after {ended}" if ended else "first"
            expected = " or ".join(NEXT[ended])
            mistakes.add(
                place,
                *turn.role_path,
                text=f"found {turn.role} {after}, expected {expected}; put the messages in order",
            )
            return None
        if text is not None and not text.strip():
            mistakes.add(place, *turn.path, text="found no content, expected text; write it")
        weight = {} if turn.weight else {"weight": 0}
        messages.append({"role": turn.role, "content": text, **weight})
        ended = turn.role
    if ended != "assistant":
        mistakes.add(
            place,
            text=f"the conversation ends with {ended or 'nothing'}, expected a turn of the "
            "assistant; add it or remove the row",
        )
    return messages if len(mistakes.found) == before else None
