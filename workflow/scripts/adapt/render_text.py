"""Held-out text as the model sees it: what gates and measures of a GGUF read."""


def render_text(documents, conversations, system_prompt, template, tokenizer_config, text):
    """Write documents and conversations as rows of plain text, in turns.

    Args:
        documents: JSONL of validation documents, rows with "text" or "messages", or an empty list.
        conversations: JSONL of validation conversations, or an empty list.
        system_prompt: text that conversations without a system message get, or an empty list.
        template, tokenizer_config: the base's chat template, and the special tokens it may name.
        text: JSONL to write, rows with "text".
    """
    from itertools import chain, zip_longest

    from specialist.core.text import (
        chat_renderer,
        document_text,
        read_rows,
        special_tokens,
        write_rows,
    )
    from specialist.train.conversations import with_system_prompt

    render = chat_renderer(template.read_text(encoding="utf-8"), special_tokens(tokenizer_config))
    rows = read_rows(documents) if documents else ()
    plain = [document_text(row, render) for row in rows]
    chats = []
    if conversations:
        prompt = system_prompt.read_text(encoding="utf-8")
        chats = [render(row["messages"]) for row in with_system_prompt(conversations, prompt)]
    both = filter(None, chain.from_iterable(zip_longest(chats, plain)))
    write_rows(text, ({"text": row} for row in both))


if "snakemake" in globals():
    from specialist.engine.step import run

    run(render_text, snakemake)
