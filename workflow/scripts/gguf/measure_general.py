"""Measures how well a GGUF predicts general text, which belongs to no dataset."""

import json

WINDOW = 512  # most tokens that are read together
PASSAGE = 1500  # characters


def measure_general(gguf, text, general, *, kilobytes, threads):
    """Write the bits per byte of a GGUF on passages from all parts of a text.

    A byte is the same for every tokenizer, so the figures of different models can be compared.
    Each passage is read on its own, after an empty line.

    Args:
        gguf: the GGUF to measure.
        text: plain text in UTF-8; an empty line ends a paragraph.
        general: JSON to write: bits_per_byte, bytes and tokens (that were predicted), and sha256
            (of the whole text).
        kilobytes: how much of the text to read, in 1,000 bytes.
        threads: CPU threads.

    Raises:
        UserError: the text is empty or not UTF-8; the model's context is too short.
    """
    from math import log

    from specialist.core.files import sha256
    from specialist.core.passages import passages, read, spread
    from specialist.gguf.runtime import Runtime

    chosen = spread(passages(read(text), PASSAGE), 1000 * kilobytes)
    with Runtime(gguf, WINDOW, threads) as model:
        found = [_nats(model, passage) for passage in chosen]
    size = sum(len(passage.encode()) for passage in chosen)
    nats, tokens = (sum(part) for part in zip(*found, strict=True))
    figures = {
        "bits_per_byte": nats / log(2) / size,
        "bytes": size,
        "tokens": tokens,
        "sha256": sha256(text),
    }
    general.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{figures['bits_per_byte']:.4f} bits per byte on {size:,} bytes in {tokens:,} tokens")


def _nats(model, passage):
    """(negative log-likelihood of a passage in nats, number of its tokens)"""
    import numpy as np
    from scipy.special import logsumexp

    start = [model.bos] if model.adds_bos else []
    start += model.tokenize("\n", special=False)
    ids, step, total = model.tokenize(passage, special=False), WINDOW - len(start), 0.0
    for begin in range(0, len(ids), step):
        part = ids[begin : begin + step]
        # Each position but the last predicts the next token.
        logits = model.logits([*start, *part])[len(start) - 1 : -1].astype(np.float64)
        total += float((logsumexp(logits, axis=1) - logits[range(len(part)), part]).sum())
    return total, len(ids)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(measure_general, snakemake)
