"""Builds a Chroma store from the chunks of a knowledge base and their embeddings."""


def build_chroma(chunks, embeddings, store):
    """Write a persistent Chroma store with one collection, searched by cosine similarity.

    The store is a folder, packed into one file, because Snakemake compares folders by their
    time and files by their content; unzip it to open it elsewhere. It holds random ids, so
    its bytes differ from one build to the next; it is derived from the two files and can
    always be built again.

    Args:
        chunks: JSONL of chunk_kb.
        embeddings: .npy of embed_chunks, a row for each chunk.
        store: zip to write.
    """
    import contextlib
    import shutil
    import tempfile

    import numpy as np

    from specialist.rag.retrieval import chroma, read_chunks

    records, vectors = read_chunks(chunks), np.load(embeddings, allow_pickle=False)
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.closing(chroma(folder)) as client:
            _fill(client, records, vectors)
        shutil.make_archive(store.with_suffix(""), "zip", folder)


def _fill(client, records, vectors):
    from specialist.rag.retrieval import COLLECTION

    collection = client.create_collection(
        COLLECTION,
        # Vectors are always given: Chroma's own embedding function would download one.
        embedding_function=None,
        # One thread builds the same graph each time; the wide beam finds what an
        # exact search finds, which measure_retrieval checks.
        configuration={"hnsw": {"space": "cosine", "ef_search": 200, "num_threads": 1}},
    )
    size = client.get_max_batch_size()
    for start in range(0, len(records), size):
        batch = records[start : start + size]
        collection.add(
            ids=[record["id"] for record in batch],
            embeddings=vectors[start : start + size],
            documents=[record["text"] for record in batch],
            metadatas=[{key: record[key] for key in ("source", "title")} for record in batch],
        )
    if not len(records) == len(vectors) == collection.count():
        raise RuntimeError(
            f"{len(records)} chunks, {len(vectors)} vectors, {collection.count()} in the store"
        )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(build_chroma, snakemake)
