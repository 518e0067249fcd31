"""Embeds the chunks of a knowledge base: the index in files with stable bytes."""

import json

from specialist.step import sha256


def embed_chunks(chunks, embeddings, settings, *, model, threads):
    """Write a vector for each chunk, and what made them.

    What is embedded is the chunk's title and its text below it.

    Args:
        chunks: JSONL of chunk_kb.
        embeddings: .npy to write: float32 [chunks, dimension], each vector of length 1.
        settings: JSON to write: model, dimension, weights_sha256, chunks (number),
            chunks_sha256, embeddings_sha256, max_tokens (what the model reads of a text)
            and truncated (number of chunks longer than that).
        model: "package:NAME", "path:FOLDER" or "hub:ID@REVISION".
        threads: CPU threads.

    Raises:
        UserError: there is no such model, or it is not safe to load.
    """
    import numpy as np

    from specialist.retrieval import Embedder, locate_model, read_chunks, weights_sha256

    texts = [f"{chunk['title']}\n{chunk['text']}" for chunk in read_chunks(chunks)]
    embedder = Embedder(model, threads=threads, device=None)
    encoder = embedder.encoder
    lengths = [len(encoder.tokenizer(text, truncation=False)["input_ids"]) for text in texts]
    truncated = sum(length > encoder.max_seq_length for length in lengths)
    if truncated:
        print(
            f"{truncated} of {len(texts)} chunks are longer than the {encoder.max_seq_length} "
            "tokens that the model reads, their ends are not searched; lower max_words"
        )
    np.save(embeddings, embedder.documents(texts).astype(np.float32))
    made = {
        "model": model,
        "dimension": encoder.get_embedding_dimension(),
        "weights_sha256": weights_sha256(locate_model(model)),
        "chunks": len(texts),
        "chunks_sha256": sha256(chunks),
        "embeddings_sha256": sha256(embeddings),
        "max_tokens": encoder.max_seq_length,
        "truncated": truncated,
    }
    settings.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")


if "snakemake" in globals():
    from specialist.step import run

    run(embed_chunks, snakemake)
