"""Turns a corpus into arrays of tokens that training maps into memory."""


def tokenize_corpus(
    corpus, held_out, tokenizer, tokenizer_config, template, tokens, held_out_tokens, stats
):
    """Encode both parts of a corpus; every document ends with the token for that.

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
        document_text,
        end_of_text,
        read_rows,
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
        documents = [document_text(row, render) for row in read_rows(source)]
        encoded = [np.array([*e.ids, end], dtype=kind) for e in bpe.encode_batch(documents)]
        array = np.concatenate(encoded)
        np.save(target, array)
        counts[name] = {
            "documents": len(documents),
            "bytes": sum(len(document.encode()) for document in documents),
            "tokens": len(array),
        }
    stats.write_text(json.dumps(counts, indent=1) + "\n")
    print(json.dumps(counts))


if "snakemake" in globals():
    from specialist.engine.step import run

    run(tokenize_corpus, snakemake)
