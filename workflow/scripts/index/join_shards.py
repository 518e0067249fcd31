"""Writes the chunks and vectors of an index from those of its shards."""

import json
import shutil

from specialist.core.errors import UserError


def join_shards(parts, vectors, made, chunks, embeddings, settings):
    """Write one file of chunks, one of vectors, and their settings: the shards in their order.

    They have the form of what `chunk_kb` and `embed_chunks` write, so the same steps read them.
    One block of vectors is in memory at a time.

    Args:
        parts: JSONL of chunk_shard, one for each shard.
        vectors: .npy of embed_shard, one for each shard.
        made: JSON of embed_shard, one for each shard.
        chunks, embeddings, settings: see `embed_chunks`.

    Raises:
        UserError: the shards do not belong together, or no article is in the index.
    """
    from specialist.core.files import sha256
    from specialist.rag.index_files import Chunks, check_index, read_settings

    known = [read_settings(path) for path in made]
    for path, other in zip(made, known, strict=True):
        if (found := _model(other)) != (expected := _model(known[0])):
            raise UserError(
                f"{path}: found vectors of {found}, expected those of {expected}, as {made[0]} "
                "has; delete the file and give the command again"
            )
    if not sum(shard["chunks"] for shard in known):
        raise UserError(
            f"{chunks}: no document of the knowledge base is in the index; add documents with a "
            "text, or correct the index's filter"
        )
    for triple in zip(parts, vectors, made, strict=True):
        check_index(Chunks(triple[0]), *triple[1:])
    with open(chunks, "wb") as whole:
        for path in parts:
            with open(path, "rb") as part:
                shutil.copyfileobj(part, whole)
    _join(vectors, embeddings)
    total = {key: sum(shard[key] for shard in known) for key in ("chunks", "truncated")}
    digests = {"chunks_sha256": sha256(chunks), "embeddings_sha256": sha256(embeddings)}
    text = json.dumps(known[0] | total | digests, indent=1, sort_keys=True)
    settings.write_text(text + "\n")


def _model(settings):
    """What must be the same in all shards: the model, its weights, and how it reads a text."""
    same = ("model", "weights_sha256", "dimension", "max_tokens", "prompts")
    return json.dumps({name: settings.get(name) for name in same}, sort_keys=True)


def _join(vectors, embeddings):
    import numpy as np

    from specialist.rag.index_files import blocks, open_vectors

    shapes = [open_vectors(path).shape for path in vectors]
    shape = (sum(count for count, _ in shapes), shapes[0][1])
    layout = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with open(embeddings, "wb") as file:
        np.lib.format.write_array_header_1_0(file, layout)
        for path in vectors:
            for _, block in blocks(path):
                file.write(np.ascontiguousarray(block, dtype="<f4").data)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(join_shards, snakemake)
