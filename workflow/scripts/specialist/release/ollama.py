"""An Ollama Modelfile: the chat template of a model, written in Ollama's own language.

Ollama renders conversations with Go's text/template, and models have Jinja templates. The templates
of chat models write a fixed text between two messages, which depends only on their roles. A few
conversations therefore show the whole template. Other templates are refused.
"""

import json

from specialist.core.errors import UserError

# Roles of the tested conversations, as the agent and its users write them. Ollama
# itself joins messages of one role that follow each other.
SHAPES = [
    "system user",
    "system user assistant user",
    "system user assistant tool assistant tool assistant user assistant tool",
    "user assistant tool assistant user",
]
MARK = 0xF0000  # the first of the characters for private use, which stand for messages
ROLES = ("system", "user", "assistant", "tool")


def edges(render, skipped=""):
    """The texts that a chat template writes around messages.

    Args:
        render: function from messages to the text of a conversation that is open for the
            assistant's next turn.
        skipped: text at the start of a conversation that is left out, because Ollama adds it.

    Returns:
        {(role before, role after): text}; a role is "" at the start and at the end.

    Raises:
        UserError: the template refuses or changes a message, or looks at more than roles.
    """
    found = {}
    for shape in SHAPES:
        roles = shape.split()
        marks = [chr(MARK + number) for number in range(len(roles))]
        try:
            text = render(
                [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
            )
        except Exception as error:  # a template can raise any exception
            raise UserError(f"the chat template refuses {shape}: {error}") from None
        for role, after, mark in zip(["", *roles], roles, marks, strict=False):
            before, mark, text = text.partition(mark)
            if not mark:
                raise UserError(
                    f"the chat template leaves out or changes a message of the role {after} "
                    f"in the conversation {shape}; use a template that writes messages unchanged"
                )
            _note(found, (role, after), before, shape)
        _note(found, (roles[-1], ""), text, shape)
    return {
        edge: text.removeprefix(skipped) if edge[0] == "" else text for edge, text in found.items()
    }


def _note(found, edge, text, shape):
    if found.setdefault(edge, text) != text:
        raise UserError(
            f"the chat template writes {found[edge]!r} and, in the conversation {shape}, {text!r} "
            f"between the roles {edge}; Ollama's template can depend only on roles"
        )


def go_template(texts):
    """A template for Ollama that writes what `edges` found."""
    lines = ['{{- $before := "" }}', "{{- range .Messages }}"]
    for number, (role, texts_before) in enumerate(_by_role(texts).items()):
        lines.append(f'{{{{- {"else " * bool(number)}if eq .Role "{role}" }}}}')
        lines += _choice(texts_before)
    lines += ["{{- end }}{{ .Content }}", "{{- $before = .Role }}", "{{- end }}"]
    lines += _choice({before: text for (before, after), text in texts.items() if not after})
    return "\n".join(lines)


def _by_role(texts):
    return {
        role: {before: text for (before, after), text in texts.items() if after == role}
        for role in ROLES
    }


def _choice(texts):
    """Lines that write the text for the role `$before`."""
    if len(set(texts.values())) == 1:
        return [f"{{{{- {_quote(next(iter(texts.values())))} }}}}"]
    lines = []
    for number, (role, text) in enumerate(texts.items()):
        test = f'{"else " * bool(number)}if eq $before "{role}"'
        lines.append(f"{{{{- {test} }}}}{{{{ {_quote(text)} }}}}")
    return [*lines, "{{- end }}"]


def _quote(text):
    """A string of Go, which reads the escapes that JSON writes."""
    return json.dumps(text, ensure_ascii=False)


def modelfile(gguf, template, system, parameters, license):
    """The text of a Modelfile.

    Args:
        gguf: file name of the model, beside the Modelfile.
        template: of `go_template`.
        system: the system message.
        parameters: list of (name, value); a name may come more than once.
        license: the licence's name.

    Raises:
        UserError: a text holds the three quotes that would end it.
    """
    texts = {"TEMPLATE": template, "SYSTEM": system, "LICENSE": license}
    for name, text in texts.items():
        if '"""' in text or text.endswith('"'):
            raise UserError(
                f'{name} of the Modelfile: found """ in it, or " at its end, which a Modelfile '
                "cannot hold; write it with other quotes"
            )
    lines = [f"FROM ./{gguf}"]
    lines += [f"PARAMETER {name} {_value(value)}" for name, value in parameters]
    return "\n".join([*lines, *(f'{name} """{text}"""' for name, text in texts.items())]) + "\n"


def _value(value):
    return _quote(value) if isinstance(value, str) else value
