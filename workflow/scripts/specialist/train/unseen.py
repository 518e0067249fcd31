"""Tokens that an adapter must write and its base hardly saw.

LoRA does not train their embeddings, so the adapter cannot learn to write them.
"""

SEEN = 20  # with so many occurrences in pretraining, an embedding counts as trained
SHOWN = 10
AROUND = 4  # tokens on either side of an example


def hardly_seen(rows, tokens, train_tokens, vocabulary):
    """Tokens with loss that occurred fewer than 20 times in pretraining.

    Args:
        rows: list of {"input_ids", "assistant_masks"}.
        tokens: int array [n] of the corpus, which may be on disk.
        train_tokens: tokens that pretraining saw: a part of the corpus, or several passes.
        vocabulary: number of tokens.

    Returns:
        list of {"token": id, "replies": occurrences in rows, "seen": in pretraining, "row",
        "place": numbers of one of its places in rows}, those with most occurrences first.
    """
    import numpy as np

    counts, block = np.zeros(vocabulary, np.int64), 1 << 24
    for start in range(0, len(tokens), block):
        counts += np.bincount(tokens[start : start + block], minlength=vocabulary)
    seen = counts * (train_tokens / len(tokens))
    found = {}
    for number, row in enumerate(rows):
        for place, (token, own) in enumerate(
            zip(row["input_ids"], row["assistant_masks"], strict=True)
        ):
            if own and seen[token] < SEEN:
                first = {"token": token, "seen": round(float(seen[token]))}
                entry = found.setdefault(token, first | {"row": number, "place": place})
                entry["replies"] = entry.get("replies", 0) + 1
    return sorted(found.values(), key=lambda entry: (-entry["replies"], entry["token"]))


def report(rows, tokens, train_tokens, tokenizer):
    """Print which tokens of the replies the base hardly saw, each with an example.

    Args:
        rows, train_tokens: as of `hardly_seen`.
        tokens: .npy of the corpus.
        tokenizer: of Transformers.

    Returns:
        list of {"text", "replies", "seen", "example"}.
    """
    import numpy as np

    corpus = np.load(tokens, mmap_mode="r")
    found = hardly_seen(rows, corpus, train_tokens, len(tokenizer))
    named = []
    for entry in found:
        ids, place = rows[entry["row"]]["input_ids"], entry["place"]
        example = tokenizer.decode(ids[max(0, place - AROUND) : place + AROUND + 1])
        text = tokenizer.decode([entry["token"]])
        named.append(
            {"text": text, "example": example} | {k: entry[k] for k in ("replies", "seen")}
        )
    if named:
        print(
            f"WARNING: the base hardly saw {len(named)} of the tokens in the replies. "
            "An adapter does not train their embeddings, so the model may write them wrongly. "
            "Use other words, add text with these tokens to the corpus, or train longer:"
        )
    for entry in named[:SHOWN]:
        print(
            f"  {entry['text']!r}: {entry['replies']} times in replies, {entry['seen']} in "
            f"pretraining, as in {entry['example']!r}"
        )
    if len(named) > SHOWN:
        print(f"  and {len(named) - SHOWN} more: see hardly_seen in training.json")
    return named
