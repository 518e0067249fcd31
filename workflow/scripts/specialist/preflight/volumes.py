"""How much text a dataset holds, from its entry or the sizes of its files; reads no file."""

import os
from dataclasses import dataclass

from specialist.config.paths.datasets import Datasets
from specialist.preflight.lengths import MESSAGES, simulated_rows

# Bytes of what is simulated, rounded up, and of a task in a user's file.
DOCUMENT, ROW, TASK, HANDBOOK = 300, 1200, 900, 30_000
FETCHED = 2_000_000  # bytes of a text whose file is not here yet


@dataclass(frozen=True)
class Volume:
    """The sizes of a dataset.

    Args:
        corpus, sft, preferences, kb: bytes of each part.
        documents: of a simulated corpus.
        rows: conversations to train on.
        tasks: number of tasks, conversations included.
        messages: of the customers in one run of all tasks.
    """

    corpus: int = 0
    sft: int = 0
    preferences: int = 0
    kb: int = 0
    documents: int = 0
    rows: int = 0
    tasks: int = 0
    messages: int = 0

    @property
    def bytes(self):
        return self.corpus + self.sft + self.preferences + self.kb


def volume(config, dataset):
    """The `Volume` of a dataset.

    Args:
        config: the loaded configuration.
        dataset: its name.
    """
    entry = config["datasets"][dataset]
    if "simulate" in entry:
        rows, tasks = simulated_rows(entry), entry["tasks"] + entry["conversations"]
        return Volume(
            corpus=DOCUMENT * entry["documents"],
            sft=ROW * rows,
            kb=HANDBOOK,
            documents=entry["documents"],
            rows=rows,
            tasks=tasks,
            messages=entry["tasks"] + MESSAGES * entry["conversations"],
        )
    if "corpus" in entry:
        local = entry["corpus"].get("path")
        return Volume(corpus=os.path.getsize(local) if local else FETCHED)
    parts = Datasets(config).part
    articles = sum(map(os.path.getsize, parts(dataset, "kb")))
    tickets = sum(map(os.path.getsize, Datasets(config).tickets(dataset)))
    # What is not made yet: tickets keep their size, and a teacher writes as much as the articles.
    unmade = {"corpus": tickets}
    sizes = {
        name: sum(
            os.path.getsize(path) if os.path.exists(path) else unmade.get(name, articles)
            for path in parts(dataset, name)
        )
        for name in ("corpus", "sft", "preferences", "kb", "tasks")
    }
    tasks = -(-sizes.pop("tasks") // TASK)
    return Volume(**sizes, rows=-(-sizes["sft"] // ROW), tasks=tasks, messages=MESSAGES * tasks)
