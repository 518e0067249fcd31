"""Embeds the chunks of a knowledge base: the index in files with stable bytes."""

import json

from specialist.core.files import sha256


def embed_chunks(chunks, weights, embeddings, settings, *, model, threads):
    """Write a vector for each chunk, and what made them.

    Args:
        chunks: JSONL of chunk_kb.
        weights: files of the model in a folder that `model` names, so that a change of theirs
            counts; an empty list for a model that is named by its version.
        embeddings: .npy to write: float32 [chunks, dimension], each vector of length 1.
        settings: JSON to write: model, dimension, weights_sha256, chunks (number),
            chunks_sha256, embeddings_sha256, max_tokens (what the model reads of a text),
            truncated (number of chunks longer than that) and prompts (what the model
            wants before a query and a document).
        model: "package:NAME", "path:FOLDER" or "hub:ID@REVISION".
        threads: CPU threads.

    Raises:
        UserError: there is no such model, or it is not safe to load.
    """
    import numpy as np

    from specialist.rag.embedding import SentenceEncoder, locate_model, weights_sha256
    from specialist.rag.retrieval import embedded_text, read_chunks

    texts = [embedded_text(chunk) for chunk in read_chunks(chunks)]
    encoder = SentenceEncoder(model, threads=threads, device=None)
    vectors, transformer = encoder.documents(texts), encoder.transformer
    tokens = transformer.tokenizer(texts, truncation=False, verbose=False)["input_ids"]
    truncated = sum(len(ids) > transformer.max_seq_length for ids in tokens)
    if truncated:
        print(
            f"{truncated} of {len(texts)} chunks are longer than the {transformer.max_seq_length} "
            "tokens that the model reads, their ends are not searched; lower max_words"
        )
    np.save(embeddings, vectors.astype(np.float32))
    made = {
        "model": model,
        "dimension": vectors.shape[1],
        "weights_sha256": weights_sha256(locate_model(model)),
        "chunks": len(texts),
        "chunks_sha256": sha256(chunks),
        "embeddings_sha256": sha256(embeddings),
        "max_tokens": transformer.max_seq_length,
        "truncated": truncated,
        "prompts": {
            "query": transformer.prompts.get("query") or "",
            "document": next(
                filter(None, map(transformer.prompts.get, ("document", "passage", "corpus"))), ""
            ),
        },
    }
    settings.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(embed_chunks, snakemake)
