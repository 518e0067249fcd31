"""The grammar of one turn of the agent, in llama.cpp's GBNF.

It determines the form of a turn, not its content. It uses the names and types of the arguments in
a tool's JSON schema, never the allowed values.
"""

import json

from specialist.agent.react import ACTION, ANSWER, THOUGHT

# The keywords of JSON schema that are about form.
FORM = {"type", "properties", "required", "items"}
# Characters as `json.dumps(..., ensure_ascii=False)` writes them. Escapes by number are left
# out: half of a pair of them is not text.
CHARACTER = r'[^"\\\x01-\x1F] | "\\" ["\\bfnrt]'
LINE = r"[^\x01-\x1F]+"


def turn_grammar(tools, blank=False):
    """GBNF of a thought and then an action or an answer, as `specialist.agent.react` writes them.

    Args:
        tools: list of {"name", "parameters": JSON schema}; without any, a turn can only be
            an answer.
        blank: whether a blank or two may stand before the turn, as templates and SentencePiece
            put them there.
    """
    begin = f'[ ]{{0,2}} "{THOUGHT}"' if blank else f'"{THOUGHT}"'
    end = f'"{ANSWER}" line'
    if not tools:
        return f'root ::= {begin} line "\\n" {end}\nline ::= {LINE}\n'
    return (
        f'root ::= {begin} line "\\n" ("{ACTION}" call | {end})\nline ::= {LINE}\n{_calls(tools)}\n'
    )


def _calls(tools):
    """Rules of the grammar; the rule `call` is a call of one of the tools."""
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool["name"]}, "arguments": _form(tool["parameters"])},
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
    return "\n".join(f"{name} ::= {rule}" for name, rule in rules.items())


def _form(schema):
    """A JSON schema without its constraints on values."""
    kept = {key: value for key, value in schema.items() if key in FORM}
    if "properties" in kept:
        kept["properties"] = {name: _form(part) for name, part in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = _form(kept["items"])
    return kept
