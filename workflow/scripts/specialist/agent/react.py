"""The ReAct protocol: how a thought, an action and an answer are written and read.

    Thought: <one line>
    Action: {"name": "<tool>", "arguments": {...}}

or, to end the episode,

    Thought: <one line>
    Answer: <one line>

Training data and the agent share this module, so that they cannot drift apart.
"""

import json
import math

THOUGHT, ACTION, ANSWER = "Thought: ", "Action: ", "Answer: "


def write_action(thought, name, arguments):
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"{THOUGHT}{thought}\n{ACTION}{call}"


def write_answer(thought, answer):
    return f"{THOUGHT}{thought}\n{ANSWER}{answer}"


def passage(text):
    """A knowledge-base passage as an observation: one line, without Markdown's heading mark."""
    return " ".join(text.lstrip("# ").split())


def passages(hits):
    """Chunks that a search found, {"title", "text"}, as an observation: one line for each."""
    return "\n".join(passage(f"{hit['title']}\n{hit['text']}") for hit in hits)


def messages(request, steps):
    """An episode as chat messages: the request, then for each step the turn and what came of it."""
    turns = [{"role": "user", "content": request}]
    for step in steps:
        if "answer" in step:
            turns.append(
                {"role": "assistant", "content": write_answer(step["thought"], step["answer"])}
            )
        else:
            content = write_action(step["thought"], step["call"], step["arguments"])
            turns.append({"role": "assistant", "content": content})
            turns.append({"role": "tool", "content": step["observation"]})
    return turns


def typed(arguments, schema):
    """Arguments given as text, with the types that the tool's JSON schema asks for."""
    kinds = {"integer": int, "number": float}
    return {
        name: kinds.get(schema["properties"][name]["type"], str)(value)
        for name, value in arguments.items()
    }


def parse(turn):
    """Read an assistant turn.

    Returns:
        dict with "thought" and either "call" and "arguments", or "answer"; or with "error",
        what is wrong with the turn, when it is neither.
    """
    thought, _, rest = turn.strip().partition("\n")
    if not thought.startswith(THOUGHT):
        return {"error": f"a turn starts with '{THOUGHT.strip()}'"}
    step = {"thought": thought[len(THOUGHT) :]}
    if rest.startswith(ANSWER):
        return step | {"answer": rest[len(ANSWER) :].strip()}
    if not rest.startswith(ACTION):
        return {"error": f"a thought is followed by '{ACTION.strip()}' or '{ANSWER.strip()}'"}
    try:
        call = json.loads(rest[len(ACTION) :], parse_float=_finite, parse_constant=_finite)
        if not isinstance(call["name"], str):
            raise TypeError("the name is no text")
        return step | {"call": call["name"], "arguments": dict(call["arguments"])}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return {"error": f"the action is not a call: {error}"}


def answer(turn):
    """The answer in a turn, as far as both are written; "" before it begins."""
    thought, _, rest = turn.partition("\n")
    if not thought.startswith(THOUGHT) or not rest.startswith(ANSWER):
        return ""
    # A character of several tokens shows as U+FFFD until its last one is there.
    return rest[len(ANSWER) :].rstrip("\ufffd").strip()


def _finite(number):
    # The grammar allows 1e999, which Python reads as infinite and JSON cannot write.
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{number} is no finite number")
    return value
