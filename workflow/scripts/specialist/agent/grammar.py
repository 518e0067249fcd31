"""The grammar of one turn of the agent, in llama.cpp's GBNF.

It determines the form of a turn: it uses the names and types of the arguments in a tool's JSON
schema, never the allowed values. One rule of the tools is part of it: a text that the customer
must have said (`said` in tools.yaml) can only be a quotation of the customer's messages.
"""

import functools
import json

from specialist.agent.facts import WHOLE
from specialist.agent.react import ACTION, ANSWER, THOUGHT

# The keywords of JSON schema that are about form.
FORM = {"type", "properties", "required", "items"}
# Characters as `json.dumps(..., ensure_ascii=False)` writes them. Escapes by number are left
# out: half of a pair of them is not text.
CHARACTER = r'[^"\\\x01-\x1F] | "\\" ["\\bfnrt]'
LINE = r"[^\x01-\x1F]+"
QUOTED = "\ufdd0"  # stands for a quotation in a JSON schema
MOST = 400  # parts of the customer's messages that a grammar quotes; more would take seconds
MARK = r'''"\"\ufdd0\""'''  # what the converter writes for QUOTED


class TurnGrammar:
    """The grammar of a turn that follows given messages; see `turn_grammar`.

    Args:
        tools, blank: see `turn_grammar`.
        quote: whether the texts that the customer must have said are quotations.
    """

    def __init__(self, tools, blank=False, quote=True):
        self._form = turn_grammar(tools, blank, quote)
        self._quotes = quote and any(tool.get("said") for tool in tools)

    def __call__(self, messages):
        """GBNF for the turn after `messages`, [{"role", "content"}]."""
        if not self._quotes:
            return self._form
        return self._form + quotations(
            tuple(turn["content"] for turn in messages if turn["role"] == "user")
        )


def turn_grammar(tools, blank=False, quote=False):
    """GBNF of a thought and then an action or an answer, as `specialist.agent.react` writes them.

    Args:
        tools: list of {"name", "parameters": JSON schema}; without any, a turn can only be
            an answer.
        blank: whether a blank or two may stand before the turn, as templates and SentencePiece
            put them there.
        quote: whether the texts in `said` arguments are left to a rule `quoted`, which
            `quotations` writes.
    """
    begin = f'[ ]{{0,2}} "{THOUGHT}"' if blank else f'"{THOUGHT}"'
    end = f'"{ANSWER}" line'
    if not tools:
        return f'root ::= {begin} line "\\n" {end}\nline ::= {LINE}\n'
    root = f'{begin} line "\\n" ("{ACTION}" call | {end})'
    return f"root ::= {root}\nline ::= {LINE}\n{_calls(tools, quote)}\n"


@functools.lru_cache(64)
def quotations(texts):
    """The rule `quoted` of the grammar: a JSON string with words in a row from one of the texts.

    It writes each gap as one blank, and cuts neither words nor numbers. It also takes the empty
    string, which says nothing. If the texts are longer than `MOST` parts, it takes any string,
    which the rules of the tools then check.

    Args:
        texts: tuple of str.
    """
    parts = [_parts(text) for text in texts]
    if sum(map(len, parts)) > MOST:
        return 'quoted ::= "\\"" char* "\\""\n'
    rules, starts = [], ['"\\""']
    for number, row in enumerate(parts):
        for place, (part, gap) in enumerate(row):
            name = f"quoted-{number}-{place}"
            more = f' | "{gap}" quoted-{number}-{place + 1}' if place + 1 < len(row) else ""
            rules.append(f'{name} ::= {_literal(part)} ("\\""{more})')
            starts.append(name)
    return "\n".join([f'quoted ::= "\\"" ({" | ".join(starts)})', *rules]) + "\n"


def _parts(text):
    """The parts of a text where a quotation may begin and end: [(part, blank or "" after it)]."""
    text, parts, at = " ".join(text.split()), [], 0
    while at < len(text):
        whole = WHOLE.match(text, at)
        end = whole.end() if whole else at + 1
        blank = text[end : end + 1] == " "
        parts.append((text[at:end], " " if blank else ""))
        at = end + blank
    return parts


def _literal(text):
    """A text in GBNF, as a JSON string contains it.

    A word may begin with a capital or not, because a sentence changes that. A word with a digit
    may be in upper case: people type codes as they like.
    """
    cases = {text, text.lower(), text.capitalize()}
    if any(map(str.isdigit, text)):
        cases.add(text.upper())
    written = (json.dumps(each, ensure_ascii=False)[1:-1] for each in sorted(cases))
    return "(" + " | ".join(f'"{_escaped(each)}"' for each in written) + ")"


def _escaped(text):
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _calls(tools, quote):
    """Rules of the grammar; the rule `call` is a call of one of the tools."""
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool["name"]}, "arguments": _arguments(tool, quote)},
            "required": ["name", "arguments"],
        }
        for tool in tools
    ]
    made = json_schema_to_gbnf(json.dumps({"oneOf": calls}))
    # The converter allows a blank wherever JSON does; `json.dumps` puts one after
    # each colon and comma, and none elsewhere.
    made = made.replace('":" space', '": "').replace('"," space', '", "')
    rules = dict(line.split(" ::= ", 1) for line in made.splitlines())
    rules |= {"call": rules.pop("root"), "space": '""', "char": CHARACTER}
    return "\n".join(f"{name} ::= {rule.replace(MARK, ' quoted ')}" for name, rule in rules.items())


def _arguments(tool, quote):
    """The form of a tool's arguments, with marks where the grammar takes a quotation."""
    form = _form(tool["parameters"])
    for name in tool.get("said", []) if quote else []:
        if name in form.get("properties", {}):
            form["properties"][name] = _marked(form["properties"][name])
    return form


def _marked(form):
    """A form in which the mark of a quotation replaces texts."""
    if form.get("type") == "string":
        return {"const": QUOTED}
    form = dict(form)
    if "properties" in form:
        form["properties"] = {name: _marked(part) for name, part in form["properties"].items()}
    if "items" in form:
        form["items"] = _marked(form["items"])
    return form


def _form(schema):
    """A JSON schema without its constraints on values."""
    kept = {key: value for key, value in schema.items() if key in FORM}
    if "properties" in kept:
        kept["properties"] = {name: _form(part) for name, part in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = _form(kept["items"])
    return kept
