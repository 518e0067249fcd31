"""Assistant turns as the agent writes them: replies and tool calls of public sets, converted.

The agent's grammar (`specialist.agent.grammar`) writes one thought and one action or answer,
each on one line. A model that is trained on other turns fails in the agent.
"""

import json
import re

from specialist.agent.react import ACTION, ANSWER, THOUGHT, parse, write_action, write_answer
from specialist.data.json_rows import parse_json

ANSWERING, CALLING = "I can answer this.", "I use {}."  # thoughts of turns that have none
CALL_KEYS = ("name", "arguments", "parameters")
THINK = re.compile(r"\s*<think>(.*?)</think>", re.DOTALL)
TAGGED_CALL = re.compile(r"(.*?)<(tool_call|functioncall)>(.*?)(?:</\2>)?\s*", re.DOTALL)
TURN = re.compile(r"(?:Thought:(.*?)(?:\n|$))??(Action|Answer):(.*)", re.DOTALL)
LABEL = re.compile(
    r"^[ *_#>]{0,9}(thought|action|action input|observation|answer|final answer)[ *_]{0,9}:",
    re.IGNORECASE | re.MULTILINE,
)


def in_protocol(text):
    """An assistant's turn as the agent would write it.

    Args:
        text: the turn: in the protocol of `specialist.agent.react`, a plain reply, or a call in
            <tool_call>; perhaps with <think> before it.

    Returns:
        (turn, what was converted in a few words, or "")

    Raises:
        ValueError: the turn is neither a reply nor a call; the text says why.
    """
    if not text.strip():
        raise ValueError("found no text, expected a reply")
    thought, body, done = "", text, ""
    if think := THINK.match(text):
        thought, body, done = think[1], text[think.end() :], "<think> to Thought:"
    body = body.strip()
    if "<think>" in body or "</think>" in body:
        raise ValueError("found <think> or </think>, expected both once, before the reply")
    if not body:
        raise ValueError("found no reply after </think>, expected one")
    tagged, turn = TAGGED_CALL.fullmatch(body), TURN.fullmatch(body)
    if bare := _bare_call(body):
        return write_call(bare, thought), done or f"calls in JSON to {ACTION.strip()}"
    if tagged and "<" + tagged[2] + ">" in tagged[3]:
        raise ValueError("found two calls in a turn, expected one; give each its own turn")
    if tagged:
        made = write_call(_only(calls(tagged[3])), thought + "\n" + tagged[1])
        return made, done or f"<{tagged[2]}> to {ACTION.strip()}"
    if turn:
        thought += "\n" + (turn[1] or "")
        done = done or ("turns without Thought:" if turn[1] is None else "layout of turns")
        if turn[2] == "Action":
            made = write_call(_only(calls(turn[3])), thought)
        else:
            made = _answer(turn[3], thought)
    elif label := LABEL.search(body):
        lines = " and ".join(f"{THOUGHT}...\\n{label}..." for label in (ACTION, ANSWER))
        raise ValueError(f"found {label[0]!r} in another form than the agent's, expected {lines}")
    else:
        made, done = _answer(body, thought), done or "plain replies to Answer:"
    return (made, "") if made == text else (made, done)


def _bare_call(text):
    """The call that a whole turn is, as Llama and Mistral write it, or None."""
    marked = text.startswith("[TOOL_CALLS]")
    text = text.removeprefix("[TOOL_CALLS]").strip()
    if not marked and not text.startswith(("{", "[")):
        return None
    try:
        found = calls(text)
    except ValueError:
        if marked:
            raise
        return None  # other JSON is an answer
    return _only(found) if found or marked else None


def is_readable(text):
    """Whether the agent can read a turn as it is."""
    return "error" not in parse(text)


def _answer(text, thought):
    if LABEL.search(text):
        raise ValueError("found two actions or answers in a turn, expected one; split the turn")
    answer = _one_line(text)
    if not answer:
        raise ValueError(f"found nothing after {ANSWER.strip()}, expected text")
    return write_answer(_one_line(thought) or ANSWERING, answer)


def write_call(call, thought=""):
    """A turn with an action, from (name, arguments) and any text as its thought."""
    thought = _one_line(re.sub("</?think>", "\n", thought))
    made = write_action(thought or CALLING.format(call[0]), *call[:2])
    if error := parse(made).get("error"):
        raise ValueError(error)
    return made


def calls(value):
    """Tool calls in any of the usual forms.

    Args:
        value: {"name", "arguments"}, the same inside of "function", a list of such objects, or
            JSON of one of these. Arguments may be JSON too, and be called "parameters".

    Returns:
        list of (name, arguments, id or None).

    Raises:
        ValueError: it is not a call.
    """
    if isinstance(value, str):
        try:
            value = parse_json(value.strip())
        except RecursionError as error:
            raise ValueError(f"the action is not a call: {error}") from None
        except ValueError as error:
            raise ValueError(f"the action is not a call: found no JSON ({error})") from None
    return [_call(item) for item in (value if isinstance(value, list) else [value])]


def _call(item):
    form = 'expected {"name": "...", "arguments": {...}}'
    if not isinstance(item, dict):
        found = json.dumps(item, default=str)[:80]
        raise ValueError(f"the action is not a call: found {found}, {form}")
    call = item.get("function") if isinstance(item.get("function"), dict) else item
    extra = call.keys() - {*CALL_KEYS, "id", "type", "index", "description"}
    if extra or call.get("name") is None:
        found = ", ".join(sorted(map(str, call.keys()))) or "no keys"
        raise ValueError(f"the action is not a call: found {found}, {form}")
    if None not in (call.get("arguments"), call.get("parameters")):
        raise ValueError("found arguments and parameters in a call, expected one of them")
    arguments = call.get("arguments")
    arguments = call.get("parameters") if arguments is None else arguments
    if isinstance(arguments, str):
        try:
            arguments = parse_json(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the arguments of a call are not JSON: {error}") from None
    if not isinstance(call["name"], str) or not isinstance(arguments, dict):
        found = json.dumps(call, default=str)[:80]
        raise ValueError(f"the action is not a call: found {found}, {form}")
    return call["name"], arguments, item.get("id")


def _only(found):
    if len(found) != 1:
        raise ValueError(f"found {len(found)} calls in a turn, expected one")
    return found[0]


def _one_line(text):
    """Text without line breaks and other control characters, which the agent cannot write."""
    parts = (part.strip() for part in re.split(r"[\x00-\x1f]+", text))
    return " ".join(part for part in parts if part)
