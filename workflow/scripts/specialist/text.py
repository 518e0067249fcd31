"""Rows of text: reading them, and turning conversations into text by the chat template."""

import json
from pathlib import Path

END_OF_TEXT, TURN_START, TURN_END, PAD = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"
SPECIAL_TOKENS = [END_OF_TEXT, TURN_START, TURN_END, PAD]


def read_rows(path):
    """Yield the rows of a JSONL file as dicts."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def write_rows(path, rows):
    """Write dicts as JSONL; the bytes depend on nothing but the rows."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def chat_renderer(template):
    """A function from a list of messages to their text, by a chat template of Transformers.

    It renders as `apply_chat_template` does, without importing Transformers.

    Args:
        template: the Jinja template's text.
    """
    import jinja2.ext
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        """Transformers' `generation` block: it marks what the assistant wrote, and adds nothing."""

        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    compiled = environment.from_string(template)
    return lambda messages, **extra: compiled.render(messages=messages, **extra)


def document_text(row, render):
    """The text of a corpus row: its "text", or its "messages" as a conversation."""
    return row["text"] if "text" in row else render(row["messages"])
