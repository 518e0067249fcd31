"""Rows of text: reading them, and turning conversations into text by the chat template."""

import json
from pathlib import Path

from specialist.core.errors import UserError

END_OF_TEXT, TURN_START, TURN_END, PAD = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"
SPECIAL_TOKENS = [END_OF_TEXT, TURN_START, TURN_END, PAD]
# What documents end with in the pretraining of the open bases; else it is the end of a turn.
ENDS_OF_TEXT = (END_OF_TEXT, "<|end_of_text|>")


def read_rows(path):
    """Yield the rows of a JSONL file as dicts."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def write_rows(path, rows):
    """Write dicts as JSONL; the bytes depend only on the rows."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def special_tokens(tokenizer_config):
    """{"bos_token": its text, ...} of the special tokens that a tokenizer_config.json names."""
    config = json.loads(Path(tokenizer_config).read_text(encoding="utf-8"))
    found = {name: config.get(name) for name in ("bos_token", "eos_token", "pad_token")}
    return {
        name: token["content"] if isinstance(token, dict) else token
        for name, token in found.items()
        if token
    }


def end_of_text(bpe, tokens):
    """Id of the token that ends a document.

    Args:
        bpe: a `tokenizers.Tokenizer`.
        tokens: what `special_tokens` found.
    """
    ids = map(bpe.token_to_id, (*ENDS_OF_TEXT, tokens["eos_token"]))
    return next(number for number in ids if number is not None)


def chat_renderer(template, tokens=()):
    """A function from a list of messages to their text, by a chat template of Transformers.

    It renders as `apply_chat_template` does, without importing Transformers. Rendering always ends,
    whatever the template is (`specialist.core.sandbox`).

    Args:
        template: the Jinja template's text.
        tokens: what `special_tokens` found, which templates may name.

    Raises:
        UserError: the template is not Jinja; from that function, if it refuses the messages.
    """
    import datetime

    import jinja2.ext

    from specialist.core.sandbox import Sandbox

    class Generation(jinja2.ext.Extension):
        """Transformers' `generation` block: it marks what the assistant wrote, and adds nothing."""

        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    def refuse(message):
        raise UserError(f"the chat template refuses a conversation: {message}")

    sandbox = Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    sandbox.filters["tojson"] = lambda value, **how: json.dumps(value, ensure_ascii=False, **how)
    sandbox.globals["raise_exception"] = refuse
    sandbox.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    render = sandbox.compiled(template, "the chat template")
    # Templates ask `tools is not none`, so these are there as Transformers passes them.
    given = {"tools": None, "documents": None, **dict(tokens)}
    return lambda messages, **extra: render(messages=messages, **given, **extra)


def document_text(row, render):
    """The text of a corpus row: its "text", or its "messages" as a conversation."""
    return row["text"] if "text" in row else render(row["messages"])


def documents(path, render):
    """Yield the text of each row of a corpus; see `document_text`."""
    return (document_text(row, render) for row in read_rows(path))


def batches(texts, size):
    """Yield lists of texts, each list of about `size` characters, or of one longer text."""
    batch, length = [], 0
    for text in texts:
        if batch and length + len(text) > size:
            yield batch
            batch, length = [], 0
        batch.append(text)
        length += len(text)
    if batch:
        yield batch
