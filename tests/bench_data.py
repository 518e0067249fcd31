r"""Measures the steps that read a corpus, on one that is made up: speed and memory.

    python tests/bench_data.py

makes 2 GB of text in a temporary folder and prints a table in Markdown. Each measure is taken in
a process of its own. Beside each step stands the library that does its work, alone on the same
data. Imports are not timed.

    python tests/bench_data.py --megabytes 20

shows in a minute or two that the command works.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow/scripts"
sys.path[:0] = [str(SCRIPTS), str(SCRIPTS / "dataset"), str(SCRIPTS / "pretrain")]
TEMPLATE = ROOT / "resources/prompts/chat_template.jinja"

WORDS = 200_000  # different ones, drawn with Zipf's frequencies
COPIES, NEAR_COPIES = 0.02, 0.03  # shares of the documents
TASKS, TASK_WORDS = 300, 25
VOCABULARY = 16_384
HEAD = """\
| step | data, MB | MB/s | peak memory, MB | library alone | MB/s | share of it | of CPU time |
| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |"""


def words_of(generator, count):
    """Made-up words as an array of objects; some end with a mark, as in sentences."""
    import numpy as np

    letters = generator.choice(list("etaoinshrdlucmfwypvbgkjqxz"), (count, 12))
    lengths = generator.integers(2, 12, count)
    marks = generator.choice(["", "", "", "", "", "", "", "", ",", "."], count)
    found = ("".join(row[:n]) + m for row, n, m in zip(letters, lengths, marks, strict=True))
    return np.array(list(found), object)


def texts(size, seed=1):
    """Yield documents of 30 to 600 words, up to `size` bytes: some copied, some nearly so."""
    import numpy as np

    generator = np.random.default_rng(seed)
    words = words_of(generator, WORDS)
    shares = (1 / np.arange(1, WORDS + 1) ** 1.05).cumsum()
    shares /= shares[-1]
    left, before = size, []
    while left > 0:
        lengths = generator.integers(30, 600, 1000)
        drawn = words[np.searchsorted(shares, generator.random(lengths.sum()))].tolist()
        kinds, begin = generator.random(len(lengths)), 0
        for length, kind in zip(lengths.tolist(), kinds.tolist(), strict=True):
            chosen = drawn[begin : begin + length]
            begin += length
            if before and kind < COPIES + NEAR_COPIES:
                chosen, other = list(before[int(kind * 1e6) % len(before)]), chosen
                if kind > COPIES:
                    chosen[len(chosen) // 2] = other[0]
            elif len(before) < 5000:
                before.append(chosen)
            text = " ".join(chosen)
            yield text
            left -= len(text) + 2
            if left <= 0:
                return


def make(folder, size):
    """Write corpus/ (half of it rows, half plain text), one plain text, and tasks."""
    (folder / "corpus/nested").mkdir(parents=True)
    with (
        open(folder / "corpus/rows.jsonl", "w") as rows,
        open(folder / "corpus/nested/plain.txt", "w") as plain,
        open(folder / "one.txt", "w") as one,
    ):
        for number, text in enumerate(texts(size)):
            one.write(f"{text}\n\n")
            if number % 2:
                plain.write(f"{text}\n\n")
            else:
                rows.write(json.dumps({"text": text}) + "\n")
    messages = [" ".join(text.split()[:TASK_WORDS]) for text in texts(TASKS * 2000, seed=2)]
    with open(folder / "tasks.jsonl", "w") as tasks:
        for number, message in enumerate(messages[:TASKS]):
            row = {"id": str(number), "message": message, "entities": [f"order {70000 + number}"]}
            tasks.write(json.dumps(row) + "\n")


def rows_of(path):
    """Texts of a JSONL file, read by the json module alone."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def batches_of(found, size=1_000_000):
    from specialist.core.text import batches

    return batches(found, size)


class Step:
    """Paths of the benchmark's files, and the steps and libraries that are measured on them.

    A method sets things up and imports what it needs, then returns (what to time, bytes read).
    """

    def __init__(self, folder):
        self.folder = folder
        self.sources = [folder / "corpus/rows.jsonl", folder / "corpus/nested/plain.txt"]
        self.train, self.validation = folder / "train.jsonl", folder / "validation.jsonl"
        self.tokenizer = [
            folder / name
            for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
        ]

    def prepare_corpus(self):
        import rensa  # noqa: F401
        import scipy.sparse.csgraph  # noqa: F401
        from prepare_corpus import prepare_corpus

        places = self.folder / "train.places", self.folder / "validation.places"
        made = self.train, self.validation, *places, self.folder / "stats.json"
        return lambda: prepare_corpus(
            self.sources, *made, validation_share=0.02, seed=1
        ), self._size(*self.sources)

    def prepare_corpus_alone(self):
        """Rensa: read, cut into shingles, signatures, and which documents have a duplicate."""
        from rensa import RMinHash, RMinHashLSH

        from specialist.data.near_duplicates import shingles

        def plain():
            with open(self.sources[1], encoding="utf-8") as file:
                while text := file.read(8000):
                    yield text

        def work():
            index, start = RMinHashLSH(0.8, 128, 16), 0
            for source in (rows_of(self.sources[0]), plain()):
                for batch in batches_of(source):
                    sets = [shingles(text) for text in batch]
                    matrix = RMinHash.digest_matrix_from_token_sets(sets, 128, 1)
                    index.insert_matrix_and_query_duplicate_flags(matrix, start)
                    start += len(batch)

        return work, self._size(*self.sources)

    def split_corpus(self):
        from split_corpus import split_corpus

        made = self.folder / "first.jsonl", self.folder / "second.jsonl"
        one = self.folder / "one.txt"
        return lambda: split_corpus(one, *made, validation_share=0.1), self._size(one)

    def split_corpus_alone(self):
        """Python's json: read and write the text once."""
        one = self.folder / "one.txt"

        def work():
            with open(one, encoding="utf-8") as file, open(self.folder / "copy", "w") as out:
                while text := file.read(1 << 20):
                    out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")

        return work, self._size(one)

    def train_tokenizer(self):
        import transformers
        from train_tokenizer import train_tokenizer

        transformers.PreTrainedTokenizerFast  # noqa: B018
        return lambda: train_tokenizer(
            self.train, TEMPLATE, *self.tokenizer, vocab_size=VOCABULARY
        ), self._size(self._sample())

    def train_tokenizer_alone(self):
        """Tokenizers: train_from_iterator on the same sample."""
        from tokenizers import Tokenizer, trainers

        bpe = Tokenizer.from_file(str(self.tokenizer[0]))
        trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False)
        sample = self._sample()
        return lambda: bpe.train_from_iterator(rows_of(sample), trainer), self._size(sample)

    def tokenize_corpus(self):
        import numpy  # noqa: F401
        import tokenizers  # noqa: F401
        from tokenize_corpus import tokenize_corpus

        made = [self.folder / name for name in ("train.npy", "validation.npy", "tokens.json")]
        return lambda: tokenize_corpus(
            self.train, self.validation, *self.tokenizer, *made
        ), self._size(self.train, self.validation)

    def tokenize_corpus_alone(self):
        """Tokenizers: encode_batch_fast of the same documents."""
        from tokenizers import Tokenizer

        bpe = Tokenizer.from_file(str(self.tokenizer[0]))

        def work():
            for path in (self.train, self.validation):
                for batch in batches_of(rows_of(path)):
                    bpe.encode_batch_fast(batch)

        return work, self._size(self.train, self.validation)

    def audit_leakage(self):
        from audit_leakage import audit_leakage

        training = [self.train, self.validation]
        made = self.folder / "leakage.json"
        return lambda: audit_leakage(
            self.folder / "tasks.jsonl", training, made, max_leaking_tasks=TASKS
        ), self._size(*training)

    def audit_leakage_alone(self):
        """Python's json and re: read the same text as words."""

        def work():
            for path in (self.train, self.validation):
                for text in rows_of(path):
                    re.findall(r"\w+", text.casefold())

        return work, self._size(self.train, self.validation)

    def _sample(self):
        from specialist.data.sample import sample

        return sample(self.train, self.folder)

    @staticmethod
    def _size(*paths):
        return sum(path.stat().st_size for path in paths)


STEPS = ("prepare_corpus", "split_corpus", "train_tokenizer", "tokenize_corpus", "audit_leakage")


def measure(folder, name):
    """{"bytes", "seconds", "cpu", "peak"} of one step or library, in this process."""
    from specialist.core.hardware import peak_memory_mb

    work, size = getattr(Step(folder), name)()
    begin, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return {"bytes": size, "seconds": seconds, "cpu": cpu, "peak": peak_memory_mb()}


def child(folder, name):
    command = [sys.executable, __file__, "--folder", str(folder), "--measure", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{name} failed")
    return json.loads(done.stdout.splitlines()[-1])


def show(name, step, alone):
    speed, other = (found["bytes"] / 1e6 / found["seconds"] for found in (step, alone))
    library = getattr(Step, f"{name}_alone").__doc__.strip().rstrip(".")
    cells = (
        name, f"{step['bytes'] / 1e6:.0f}", f"{speed:.1f}", f"{step['peak']:.0f}", library,
        f"{other:.1f}", f"{speed / other:.0%}", f"{alone['cpu'] / step['cpu']:.0%}",
    )  # fmt: skip
    print(f"| {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=2000, help="size of the corpus")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.folder, given.measure)))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        folder = Path(made)
        make(folder, given.megabytes * 1e6)
        print(HEAD, flush=True)
        for name in STEPS:
            show(name, child(folder, name), child(folder, f"{name}_alone"))


if __name__ == "__main__":
    main()
