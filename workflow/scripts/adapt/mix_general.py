"""Adds general text to an adapter's training conversations, so that it forgets less."""

PASSAGE = 1500  # most characters of a row
PER_TOKEN = 2  # characters that a token of running text has at least
OPENING = 0.25  # share of a passage that is given
TASK = "Continue the text."
LONG = 60  # characters from which a paragraph in two texts is no coincidence


def mix_general(conversations, text, held_out, mixed, general, *, share, max_length, seed):
    """Write the conversations, and rows in which the assistant continues a passage of a text.

    The rows have their own system message, so that the agent's prompt is not put before them.

    Args:
        conversations: JSONL of {"messages": [...]}, the training conversations.
        text: plain text in UTF-8 to learn from.
        held_out: the text of measure_general, which must not be learned from.
        mixed: JSONL to write: the conversations, then the rows of general text.
        general: JSONL to write: only these rows.
        share: of the rows of `mixed` that are general text, below 1. Passages are used again if
            the text is too short for it.
        max_length: most tokens of a conversation.
        seed: of the order of the passages.

    Raises:
        UserError: a text is empty or not UTF-8; both have a paragraph in common.
    """
    from specialist.core.errors import UserError
    from specialist.core.passages import passages, read
    from specialist.core.text import read_rows, write_rows

    source = read(text)
    both = _paragraphs(source) & _paragraphs(read(held_out))
    if both:
        raise UserError(
            f"{text}: {len(both)} paragraph(s) stand in {held_out} too, which measures forgetting, "
            f"such as {min(both)[:LONG]!r}; remove them from one of the files"
        )
    rows = list(read_rows(conversations))
    size = min(PASSAGE, PER_TOKEN * max_length)
    found = [row for passage in passages(source, size) if (row := _row(passage))]
    if not found:
        raise UserError(f"{text}: found no passage of two words or more; give a longer text")
    count = round(len(rows) * share / (1 - share))
    added = [found[i] for i in _draw(len(found), count, seed)]
    write_rows(general, added)
    write_rows(mixed, [*rows, *added])
    print(
        f"{len(rows):,} conversations, and {count:,} rows of {len(found):,} passages of {text}, "
        f"each used {count / len(found):.2f} times on average"
    )


def _paragraphs(text):
    """The long paragraphs of a text, with single blanks."""
    parts = (" ".join(part.split()) for part in text.replace("\r\n", "\n").split("\n\n"))
    return {part for part in parts if len(part) >= LONG}


def _row(passage):
    """A conversation in which the assistant continues a passage; None for a single word."""
    begin = passage.find(" ", int(OPENING * len(passage)))
    if begin < 0:
        begin = passage.find(" ")
    opening, rest = passage[:begin].strip(), passage[begin:].strip()
    if begin < 0 or not opening or not rest:
        return None
    turns = (("system", TASK), ("user", opening), ("assistant", rest))
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def _draw(size, count, seed):
    """`count` numbers below `size`: all once in a random order, then all again."""
    import numpy as np

    rounds = -(-count // size)
    generator = np.random.default_rng(seed)
    return [int(i) for _ in range(rounds) for i in generator.permutation(size)][:count]


if "snakemake" in globals():
    from specialist.engine.step import run

    run(mix_general, snakemake)
