"""A sample of a corpus, small enough to train a tokenizer."""

import hashlib

from specialist.core.text import read_rows

BYTES = 100_000_000  # of JSONL; more text hardly changes a vocabulary
# Training BPE takes about 90 bytes of memory for each byte of distinct words. English has few
# distinct words; in text without blanks nearly every one is new.
WORD_BYTES = 12_000_000


def sample(corpus, folder):
    """JSONL of some rows of a corpus; the corpus itself where it is small enough.

    A row belongs to the sample if the hash of its line is below a bound, so that a new row
    takes no other's place.

    Args:
        corpus: JSONL, rows with "text" or "messages".
        folder: where to write the sample.
    """
    share, chosen = BYTES / max(1, corpus.stat().st_size), corpus
    while True:
        if share < 1:
            chosen = folder / "sample.jsonl"
            with open(corpus, "rb") as lines, open(chosen, "wb") as file:
                file.writelines(line for line in lines if _rank(line) < share)
        if chosen.stat().st_size <= WORD_BYTES or _word_bytes(chosen) <= WORD_BYTES:
            return chosen
        share = min(1, share) / 2


def _rank(line):
    return int.from_bytes(hashlib.sha256(line).digest()[:8]) / 2**64


def _word_bytes(path):
    """Bytes of the distinct words of a file; it stops above a limit."""
    words, size = set(), 0
    for row in read_rows(path):
        texts = [row["text"]] if "text" in row else [turn["content"] for turn in row["messages"]]
        for text in texts:
            new = set(text.split()) - words
            words |= new
            size += sum(len(word.encode()) for word in new)
        if size > WORD_BYTES:
            break
    return size
