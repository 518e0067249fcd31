"""Prints how fast a large index is made in shards and searched, and the memory of each step.

    python tests/bench_shards.py --chunks 1000000 --shards 10 --folder FOLDER

Each step of each shard runs in a process of its own, as in a run of the workflow. Its figures are
kept in FOLDER (about 15 kB a chunk), so the same command goes on where it stopped; `--minutes`
stops it between two steps. The texts and vectors of the chunks are drawn at random: embedding takes
most of the time, and its speed does not depend on how many chunks follow (bench_index.py measures
it). Queries are texts that the real model embeds.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import bench_index
from bench_index import MODEL, WORDS

QUERIES, CHECKED = 1000, 20  # queries that are timed, and compared with the exact search
STEPS = ("chunk", "vectors", "build", "words")  # of a shard, in this order
WHOLE = ("join", "encoder", "query")
TOP_K = 10


def files(folder):
    """The paths of a shard, or of the whole index."""
    return SimpleNamespace(
        folder=folder, kb=folder / "kb", chunks=folder / "chunks.jsonl",
        embeddings=folder / "embeddings.npy", settings=folder / "settings.json",
        store=folder / "chroma.zip", words=folder / "bm25.zip", figures=folder / "figures.json",
        encoder=folder / "encoder.gguf",
    )  # fmt: skip


def shards(at):
    """The files of each shard."""
    return [files(path) for path in sorted((at.folder / "shards").iterdir())]


def chunk(at, count):
    """Cut the articles of a shard, which are written first and not timed."""
    from chunk_shard import chunk_shard

    bench_index.generate(at, count)
    found = bench_index.articles(at)
    # A source has the shard's name, as no two chunks of an index have the same id.
    names = [f"{at.folder.name}/{path.relative_to(at.kb).as_posix()}" for path in found]

    def work():
        chunk_shard(
            found, [], at.chunks, sources=names, model=MODEL, max_words=120, max_tokens=0,
            overlap_words=0,
        )  # fmt: skip

    return work, sum(path.stat().st_size for path in found)


def vectors(at, count):
    """Draw vectors in place of embedding the chunks."""

    def work():
        bench_index.vectors(at, seed=int(at.folder.name))
        made = json.loads(at.settings.read_text()) | {"truncated": 0, "weights_sha256": ""}
        at.settings.write_text(json.dumps(made))
        shutil.rmtree(at.kb)

    return work, at.chunks.stat().st_size


def build(at, count):
    from build_chroma import build_chroma

    return lambda: build_chroma(at.chunks, at.embeddings, at.store), at.chunks.stat().st_size


def words(at, count):
    from index_words import index_words

    return lambda: index_words(at.chunks, at.words), at.chunks.stat().st_size


def join(at, count):
    from join_shards import join_shards

    parts = shards(at)
    given = ([getattr(part, key) for part in parts] for key in ("chunks", "embeddings", "settings"))
    size = sum(part.chunks.stat().st_size + part.embeddings.stat().st_size for part in parts)
    return lambda: join_shards(*given, at.chunks, at.embeddings, at.settings), size


def encoder(at, count):
    """Convert the embedding model for the queries."""
    from convert_encoder import convert_encoder

    return lambda: convert_encoder([], at.encoder, model=MODEL), 0


def query(at, count, queries=QUERIES):
    """Open all shards; search for texts, one at a time; compare some with the exact search."""
    import random

    import numpy as np

    from specialist.rag.index_files import nearest
    from specialist.rag.shards import ShardSearcher

    draw, vocabulary = random.Random(2), WORDS.split()
    texts = [" ".join(draw.choices(vocabulary, k=8)) + f" {n}" for n in range(queries)]
    stores, found, taken = [part.store for part in shards(at)], {"queries": queries}, []

    def work():
        begin = time.perf_counter()
        with ShardSearcher(stores, at.settings, at.encoder, how={"sentences": False}) as searcher:
            found["open_s"], found["open_mb"] = time.perf_counter() - begin, memory_mb()
            begin = time.perf_counter()
            searcher.search_all(["the first query loads the graphs"], TOP_K)
            found["first_s"], found["before_mb"] = time.perf_counter() - begin, memory_mb()
            for text in texts:
                begin, used = time.perf_counter(), time.process_time()
                searcher.search_all([text], TOP_K)
                taken.append((time.perf_counter() - begin, time.process_time() - used))
            found["after_mb"] = memory_mb()
            asked = searcher.embed(texts[:CHECKED])
            mine = [{id_ for id_, _ in row} for row in searcher._nearest(asked, TOP_K)]
        _, right = nearest(at.embeddings, asked, TOP_K)
        ids = ids_of(at, right)
        found["recall"] = sum(len(a & b) for a, b in zip(mine, ids, strict=True)) / right.size
        for name, column in (("ms", 0), ("cpu_ms", 1)):
            column = np.array(taken)[:, column] * 1000
            found.update({f"p{p}_{name}": float(np.percentile(column, p)) for p in (50, 95)})

    work.found = found
    return work, 0


def ids_of(at, numbers):
    from specialist.rag.index_files import Chunks

    records = Chunks(at.chunks)
    return [{records[int(number)]["id"] for number in row} for row in numbers]


def memory_mb():
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def step(name, folder, count, queries):
    """Run a step, and print its figures."""
    from specialist.core.hardware import peak_memory_mb

    given = (queries,) if name == "query" else ()
    work, size = globals()[name](files(folder), count, *given)
    begin, before = time.perf_counter(), processor_seconds()
    work()
    found = {"s": time.perf_counter() - begin, "cpu_s": processor_seconds() - before}
    found |= {"mb": size / 1e6, "chunks": count, "peak_mb": peak_memory_mb()}
    print(json.dumps(found | getattr(work, "found", {})))


def processor_seconds():
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def measured(name, at, count, queries):
    """The figures of a step, in a process of its own; the kept ones if it ran already."""
    kept = json.loads(at.figures.read_text()) if at.figures.exists() else {}
    if name not in kept:
        command = [sys.executable, __file__, "--step", name, "--folder", str(at.folder)]
        done = subprocess.run([*command, "--chunks", str(count)], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{name} failed in {at.folder}")
        kept[name] = json.loads(done.stdout.splitlines()[-1])
        at.figures.write_text(json.dumps(kept))
    return kept[name]


def bench(folder, count, parts, stop, queries=QUERIES):
    """{step: list of its figures, one for each shard}; what could be done before `stop`.

    Args:
        stop: time (of `time.monotonic`) at which no further step begins.
    """
    at, found = files(folder), {}
    size = -(-count // parts)
    begins = range(0, count, size)
    jobs = [(name, files(folder / "shards" / f"{number:03d}"), min(size, count - begin))
            for number, begin in enumerate(begins) for name in STEPS]  # fmt: skip
    for name, place, chunks in [*jobs, *((name, at, count) for name in WHOLE)]:
        if time.monotonic() > stop:
            break
        place.folder.mkdir(parents=True, exist_ok=True)
        found.setdefault(name, []).append(measured(name, place, chunks, queries))
    return found


def table(found):
    """Lines of Markdown."""
    yield "| step | processes | chunks/s | MB/s | chunks/s of CPU time | peak memory, MB |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, rows in found.items():
        if name in ("encoder", "query"):  # their time does not depend on the chunks
            continue
        chunks, mb, s, cpu = (
            sum(row[key] for row in rows) for key in ("chunks", "mb", "s", "cpu_s")
        )
        peak = max(row["peak_mb"] for row in rows)
        cells = [f"{chunks / s:,.0f}", f"{mb / s:.1f}", f"{chunks / cpu:,.0f}", f"{peak:,.0f}"]
        yield f"| {name} | {len(rows)} | {' | '.join(cells)} |"
    if "query" in found:
        [row] = found["query"]
        yield ""
        yield f"| {row['queries']} queries, one process | |\n| --- | ---: |"
        for words, value in (
            ("open all shards", f"{row['open_s']:.1f} s"),
            ("first query, which loads the graphs", f"{row['first_s']:.1f} s"),
            ("median and 95th percentile", f"{row['p50_ms']:.1f} and {row['p95_ms']:.1f} ms"),
            ("the same in CPU time", f"{row['p50_cpu_ms']:.1f} and {row['p95_cpu_ms']:.1f} ms"),
            ("memory before the first query", f"{row['open_mb']:,.0f} MB"),
            ("memory after the first query", f"{row['before_mb']:,.0f} MB"),
            ("memory after all", f"{row['after_mb']:,.0f} MB"),
            (f"the {TOP_K} nearest chunks that were found", f"{row['recall']:.1%}"),
        ):
            yield f"| {words} | {value} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=10)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no step after this time")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        return step(given.step, given.folder, given.chunks, given.queries)
    stop = time.monotonic() + 60 * given.minutes
    found = bench(given.folder, given.chunks, given.shards, stop, given.queries)
    print("\n".join(table(found)))
    if "query" not in found:
        print("\nstopped; give the same command again to go on")


if __name__ == "__main__":
    main()
