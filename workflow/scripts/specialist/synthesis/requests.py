"""The candidates of the tools: messages of customers who need a call, and the answers after it."""

import json

from specialist.agent.facts import holds
from specialist.core.errors import UserError
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


def spoken(tools, calls, prompts, ask, count):
    """The candidates of held-out conversations: requests of one customer, one after the other.

    In every second message with values, the customer leaves them out, and says them when the agent
    asks.

    Args:
        tools, calls, prompts, ask: see `requests`.
        count: most conversations.

    Returns:
        list of dicts as those of `requests`, with "conversation" and "part" (numbers) and "later"
        (names of the arguments that the customer says later) beside them.

    Raises:
        UserError: no style is held out.
    """
    styles = [style for style in prompts.styles if style.get("held_out")]
    if not styles:
        raise UserError(
            "styles.yaml: found no style with `held_out: true`, expected one, in which "
            "`conversations` are written; add one"
        )
    by_name, found, earlier, valued = {tool["name"]: tool for tool in tools}, [], [], 0
    for number, whole in enumerate(calls.together(count)):
        for part, call in enumerate(whole):
            style = styles[(number + part) % len(styles)]
            valued += bool(call["arguments"])
            later = list(call["arguments"]) if valued % 2 else []
            row = {"kind": "request", **call, "style": style["name"], "held_out": True}
            row |= {"conversation": number, "part": part, "later": later}
            tool = by_name[call["tool"]]
            found.append(row | _written(tool, call, style, prompts, ask, earlier, later))
    return found


def _written(tool, call, style, prompts, ask, earlier, later=()):
    """The message and the answer of a call, or why there are none.

    Args:
        later: names of the arguments that the message must leave out: all or none.
    """
    given = {"description": tool["description"]}
    asked = {**given, "style": style["how"], "earlier": list(earlier)}
    if later:
        names = " and ".join(f"the {spelled(name)}" for name in later)
        prompt = prompts["request_later"](**asked, names=names)
    else:
        prompt = prompts["request"](**asked, arguments=_shown(call))
    message, why = said(ask, prompt, lambda text: _wrong(text, call, later))
    if why:
        return {"dropped": why, "said": message}
    earlier.append(message)
    prompt = prompts["result"](**given, message=message, result=call["result"])
    answer, why = said(ask, prompt, wrong_answer)
    if why:
        return {"question": message, "dropped": why, "said": answer}
    return {"question": message, "answer": answer}


def spelled(name):
    """The name of an argument as people write it: `order_id` becomes "order id"."""
    return name.replace("_", " ")


def _shown(call):
    """The arguments as a customer says them."""
    return {name: as_text(value) for name, value in call["arguments"].items()}


def as_text(value):
    """A value as a customer says it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _wrong(text, call, later):
    """Why a message is of no use for a call, or None."""
    if why := wrong_question(text):
        return why
    values = _shown(call).values()
    if later:
        return "argument_said" if any(holds(text, value) for value in values) else None
    return None if all(holds(text, value) for value in values) else "argument_not_said"
