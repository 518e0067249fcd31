"""Renders held-out text as the model sees it, for the gates and measures of a GGUF."""

ENOUGH = 4_000_000  # characters; gates and measures read a few thousand tokens


def render_text(documents, conversations, system_prompt, template, tokenizer_config, text):
    """Write documents and conversations as rows of plain text, in turns, up to 4 MB of it.

    Args:
        documents: JSONL of validation documents, rows with "text" or "messages", or an empty list.
        conversations: JSONL of validation conversations, or an empty list.
        system_prompt: text that conversations without a system message get, or an empty list.
        template, tokenizer_config: the base's chat template, and the special tokens it may name.
        text: JSONL to write, rows with "text".
    """
    from itertools import chain, zip_longest

    from specialist.core import text as texts
    from specialist.train.conversations import with_system_prompt

    tokens = texts.special_tokens(tokenizer_config)
    render = texts.chat_renderer(template.read_text(encoding="utf-8"), tokens)
    plain = texts.documents(documents, render) if documents else ()
    chats = ()
    if conversations:
        prompt = system_prompt.read_text(encoding="utf-8")
        chats = (render(row["messages"]) for row in with_system_prompt(conversations, prompt))
    both = filter(None, chain.from_iterable(zip_longest(chats, plain)))
    texts.write_rows(text, _enough({"text": row} for row in both))


def _enough(rows):
    """Rows until they have enough text."""
    left = ENOUGH
    for row in rows:
        yield row
        left -= len(row["text"])
        if left < 0:
            return


if "snakemake" in globals():
    from specialist.engine.step import run

    run(render_text, snakemake)
