"""Builds a Chroma store from the chunks of a knowledge base and their embeddings."""

BATCH = 5000  # chunks that are added at a time


def build_chroma(chunks, embeddings, store):
    """Write a persistent Chroma store with one collection, searched by cosine similarity.

    The store is a folder, packed into one file, because Snakemake compares folders by their
    time and files by their content; unzip it to open it elsewhere. It contains random ids, so
    its bytes differ between builds. It can always be built again from the two files.

    Args:
        chunks: JSONL of chunk_kb.
        embeddings: .npy of embed_chunks, a row for each chunk.
        store: zip to write.
    """
    import contextlib
    import shutil

    from specialist.core.scratch import scratch
    from specialist.rag.retrieval import chroma

    with scratch(store) as folder:
        with contextlib.closing(chroma(folder)) as client:
            _fill(client, chunks, embeddings)
        shutil.make_archive(store.with_suffix(""), "zip", folder)


def _fill(client, chunks, embeddings):
    from specialist.core.errors import UserError
    from specialist.core.progress import Progress
    from specialist.rag.index_files import Chunks, blocks, open_vectors
    from specialist.rag.retrieval import COLLECTION

    records, count = Chunks(chunks), len(open_vectors(embeddings))
    if len(records) != count:
        raise UserError(
            f"{embeddings}: found {count} vectors, expected one for each of the {len(records)} "
            f"chunks in {chunks}; delete both and give the command again"
        )
    collection = client.create_collection(
        COLLECTION,
        # Vectors are always given: Chroma's own embedding function would download one.
        embedding_function=None,
        # One thread builds the same graph each time; the wide beam finds what an
        # exact search finds, which measure_retrieval checks.
        configuration={"hnsw": {"space": "cosine", "ef_search": 200, "num_threads": 1}},
    )
    progress = Progress("build_chroma", count)
    for start, vectors in blocks(embeddings, min(client.get_max_batch_size(), BATCH)):
        batch = list(records.read(start, start + len(vectors)))
        collection.add(
            ids=[record["id"] for record in batch],
            embeddings=vectors,
            documents=[record["text"] for record in batch],
            metadatas=[{key: record[key] for key in ("source", "title")} for record in batch],
        )
        progress(start + len(vectors))
    if collection.count() != count:
        raise RuntimeError(f"{count} vectors, {collection.count()} in the store")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(build_chroma, snakemake)
