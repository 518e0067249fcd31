"""Embeds the chunks of a knowledge base: the index in files with stable bytes."""

import json
import os
import shutil

BATCH = 2048  # chunks embedded between two checks of the time


def embed_chunks(chunks, weights, embeddings, settings, *, model, threads, checkpoints):
    """Write a vector for each chunk, and the settings that made them.

    Args:
        chunks: JSONL of chunk_kb.
        weights: files of the model if `model` names a folder, so that a change in them counts;
            an empty list for a model that is named by its version.
        embeddings: .npy to write: float32 [chunks, dimension], each vector of length 1.
        settings: JSON to write: model, dimension, weights_sha256, chunks (number),
            chunks_sha256, embeddings_sha256, max_tokens (what the model reads of a text),
            truncated (number of chunks longer than that) and prompts (what the model
            wants before a query and a document).
        model: "package:NAME", "path:FOLDER" or "hub:ID@REVISION".
        threads: CPU threads.
        checkpoints: `specialist.engine.checkpoints.Checkpoints`.

    Raises:
        UserError: there is no such model, or it is not safe to load.
    """
    from specialist.core.files import sha256
    from specialist.rag.embedding import (
        SentenceEncoder,
        document_prompt,
        locate_model,
        weights_sha256,
    )
    from specialist.rag.index_files import Chunks

    records = Chunks(chunks)
    encoder = SentenceEncoder(model, threads=threads, device=None)
    prompts, most = encoder.transformer.prompts, encoder.max_tokens
    _embed(records, encoder, embeddings, checkpoints)
    if truncated := _too_long(records, encoder):
        print(
            f"{len(truncated)} of {len(records)} chunks are longer than the {most} tokens that "
            f"the model reads; the search ignores their ends: {', '.join(truncated[:10])}"
        )
    made = {
        "model": model,
        "dimension": encoder.dimension,
        "weights_sha256": weights_sha256(locate_model(model)),
        "chunks": len(records),
        "chunks_sha256": sha256(chunks),
        "embeddings_sha256": sha256(embeddings),
        "max_tokens": most,
        "truncated": len(truncated),
        "prompts": {"query": prompts.get("query") or "", "document": document_prompt(prompts)},
    }
    settings.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")


def _embed(records, encoder, embeddings, checkpoints):
    """Write the vectors in batches; continue where a killed run stopped."""
    import numpy as np

    from specialist.core.progress import Progress
    from specialist.rag.index_files import embedded_text

    # A checkpoint is the unfinished .npy; its name says how many of its rows are whole.
    path = checkpoints.last()
    done, total = int(path.name) if path else 0, len(records)
    layout = {"descr": "<f4", "fortran_order": False, "shape": (total, encoder.dimension)}
    if path is None:
        checkpoints.folder.mkdir(parents=True, exist_ok=True)
        path = checkpoints.folder / "unfinished"
        path.touch()
    progress = Progress("embed_chunks", total, done)
    # Written, not mapped: pages of a map count as memory in use.
    with open(path, "r+b") as file:
        np.lib.format.write_array_header_1_0(file, layout)
        file.seek(done * encoder.dimension * 4, os.SEEK_CUR)
        for start in range(done, total, BATCH):
            stop = min(start + BATCH, total)
            vectors = encoder.documents([*map(embedded_text, records.read(start, stop))])
            file.write(np.ascontiguousarray(vectors, dtype="<f4").data)
            if checkpoints.due() and stop < total:
                file.flush()
                checkpoints.keep(path, stop)
                path = checkpoints.folder / str(stop)
            progress(stop)
    shutil.copyfile(path, embeddings)


def _too_long(records, encoder):
    """Ids of the chunks that are longer than the model's limit."""
    from specialist.rag.index_files import embedded_text

    found = []
    for start in range(0, len(records), BATCH):
        batch = list(records.read(start, start + BATCH))
        counts = encoder.count([*map(embedded_text, batch)])
        found += [
            record["id"]
            for record, count in zip(batch, counts, strict=True)
            if count > encoder.max_tokens
        ]
    return found


if "snakemake" in globals():
    from specialist.engine.step import run

    run(embed_chunks, snakemake)
