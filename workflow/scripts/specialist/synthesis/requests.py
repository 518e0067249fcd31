"""The candidates of the tools: messages of customers who need a call, and the answers after it."""

import json

from specialist.agent.facts import holds
from specialist.synthesis.questions import said, wrong_answer, wrong_question


def requests(tools, calls, prompts, ask, *, count, held_out):
    """The candidates of each tool, in their order.

    Args:
        tools: entries of tools.yaml.
        calls: `specialist.synthesis.calls.Calls`.
        prompts: `specialist.synthesis.resources.Prompts`.
        ask: function from a prompt to a reply; see `specialist.synthesis.questions.candidates`.
        count: requests of each style for each tool.
        held_out: whether the held-out styles write too.

    Returns:
        list of dicts: "kind" ("request"), "tool", "arguments", "session", "result", "changes",
        "style", "held_out", "question" (the customer's message) and "answer"; or "dropped" and
        "said". A tool without a call that its guards allow has one with "dropped" alone.
    """
    styles = [style for style in prompts.styles if held_out or not style.get("held_out")]
    found = []
    for tool in tools:
        made = calls.of(tool, count * len(styles))
        if not made:
            found.append({"kind": "request", "tool": tool["name"], "dropped": "no_call"})
        earlier = []
        for number, call in enumerate(made):
            style = styles[number % len(styles)]
            row = {"kind": "request", **call, "style": style["name"]}
            row["held_out"] = bool(style.get("held_out"))
            found.append(row | _written(tool, call, style, prompts, ask, earlier))
    return found


def _written(tool, call, style, prompts, ask, earlier):
    """The message and the answer of a call, or why there are none."""
    given = {"description": tool["description"]}
    prompt = prompts["request"](
        **given, arguments=_shown(call), style=style["how"], earlier=list(earlier)
    )
    message, why = said(ask, prompt, lambda text: _wrong(text, call))
    if why:
        return {"dropped": why, "said": message}
    earlier.append(message)
    prompt = prompts["result"](**given, message=message, result=call["result"])
    answer, why = said(ask, prompt, wrong_answer)
    if why:
        return {"question": message, "dropped": why, "said": answer}
    return {"question": message, "answer": answer}


def _shown(call):
    """The arguments as a customer says them."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in call["arguments"].items()
    }


def _wrong(text, call):
    """Why a message is of no use for a call, or None."""
    if why := wrong_question(text):
        return why
    values = _shown(call).values()
    return None if all(holds(text, value) for value in values) else "argument_not_said"
