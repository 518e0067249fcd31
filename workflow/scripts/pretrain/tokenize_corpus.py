"""Turns a corpus into arrays of tokens that training maps into memory."""

BATCH = 1_000_000  # characters that are encoded at a time; each takes 30 to 100 bytes meanwhile


def tokenize_corpus(
    corpus, held_out, tokenizer, tokenizer_config, template, tokens, held_out_tokens, stats
):
    """Encode both parts of a corpus; every document ends with the end token.

    The documents are encoded in batches, and the tokens appended to the arrays' files.

    Args:
        corpus, held_out: JSONL, rows with "text" or "messages".
        tokenizer, tokenizer_config: files of the base's tokenizer.
        template: its chat template, which conversations are rendered with.
        tokens, held_out_tokens: .npy, [n] uint16, or uint32 for a large vocabulary.
        stats: JSON with the tokens, documents and bytes of each part; bits per byte need them.
    """
    import json

    import numpy as np
    from tokenizers import Tokenizer

    from specialist.core.text import (
        chat_renderer,
        documents,
        end_of_text,
        special_tokens,
    )

    bpe = Tokenizer.from_file(str(tokenizer))
    names = special_tokens(tokenizer_config)
    end = end_of_text(bpe, names)
    kind = np.uint16 if bpe.get_vocab_size() <= 1 << 16 else np.uint32
    render = chat_renderer(template.read_text(encoding="utf-8"), names)
    counts = {}
    for name, source, target in (
        ("train", corpus, tokens),
        ("held_out", held_out, held_out_tokens),
    ):
        counts[name] = _encode(bpe, documents(source, render), end, kind, target)
    stats.write_text(json.dumps(counts, indent=1) + "\n")
    print(json.dumps(counts))


def _encode(bpe, documents, end, kind, target):
    """Write the tokens of documents as .npy: {"documents", "bytes", "tokens"}."""
    import numpy as np

    from specialist.core.text import batches

    counts = {"documents": 0, "bytes": 0, "tokens": 0}
    with open(target, "wb") as file:
        _head(file, kind, 0)
        for batch in batches(documents, BATCH):
            ids = [np.array([*encoded.ids, end], kind) for encoded in bpe.encode_batch_fast(batch)]
            part = np.concatenate(ids)
            file.write(part.data)
            counts["documents"] += len(batch)
            counts["bytes"] += sum(len(document.encode()) for document in batch)
            counts["tokens"] += len(part)
        file.seek(0)
        _head(file, kind, counts["tokens"])
    return counts


def _head(file, kind, count):
    """Write the head of a .npy file, of the same length for every count."""
    import numpy as np

    described = np.lib.format.dtype_to_descr(np.dtype(kind))
    head = {"descr": described, "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, head)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(tokenize_corpus, snakemake)
