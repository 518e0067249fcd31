"""The specs of the simulated datasets, and a small valid dataset of a user's own."""

import json
from pathlib import Path

from prepare_corpus import prepare_corpus
from simulate_corpus import simulate_corpus
from simulate_kb import simulate_kb
from simulate_sft import simulate_sft
from simulate_tasks import simulate_tasks
from simulate_tools import simulate_tools

from specialist.config.paths import Paths

SPECS = sorted((Path(__file__).resolve().parents[2] / "resources/datasets").iterdir())
SPEC = SPECS[0].parent / "food-delivery"


def spec_files(part, folder=SPEC):
    """The files of a spec that the rule of one part gives to its step."""
    own = {"simulate": str(folder), "sayings": "heldout", "dialogues": 1, "conversations": 1}
    config = {"datasets": {"own": own}}
    return [Path(path) for path in Paths(config).datasets.spec("own", part)]


def simulate(
    target,
    spec=SPEC,
    documents=600,
    episodes=116,
    tasks=116,
    dialogues=60,
    conversations=40,
    seed=1,
):
    """Simulate a whole dataset folder."""
    (target / "corpus").mkdir(parents=True)
    (target / "kb").mkdir()
    simulate_corpus(
        spec_files("corpus", spec), target / "corpus/corpus.jsonl", documents=documents, seed=seed
    )
    simulate_sft(
        spec_files("sft", spec),
        target / "sft.jsonl",
        episodes=episodes,
        dialogues=dialogues,
        seed=seed,
    )
    pages = [target / "kb" / path.name for path in sorted((spec / "handbook").iterdir())]
    simulate_kb(spec_files("kb", spec), pages, seed=seed)
    simulate_tasks(
        spec_files("tasks", spec),
        *(target / name for name in ("tasks.jsonl", "database.sql")),
        tasks=tasks,
        conversations=conversations,
        seed=seed,
    )
    simulate_tools(spec / "tools.yaml", target / "tools.yaml")
    return target


def prepare(folder, sources, validation_share=0.25, seed=1):
    """Training rows, validation rows and counts of a corpus."""
    parts = ("train", "validation", "train.places", "validation.places", "stats")
    out = [folder / f"{part}.out" for part in parts]
    prepare_corpus(sources, *out, validation_share=validation_share, seed=seed)
    for rows, places in (out[:4:2], out[1:4:2]):
        assert rows.read_bytes().count(b"\n") == places.read_bytes().count(b"\n") > 0
    return read(out[0]), read(out[1]), json.loads(out[4].read_text())


def read(path):
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


TOOLS = """
- name: find_book
  description: Look up a book of this reader.
  parameters:
    type: object
    properties: {title: {type: string}}
    required: [title]
  require:
    - sql: SELECT 1 FROM loans WHERE title = :title AND reader = :reader
      otherwise: this book is not on loan to the reader
  returns: SELECT due FROM loans WHERE title = :title
- name: renew
  description: Renew a loan.
  parameters:
    type: object
    properties: {title: {type: string}, weeks: {type: integer}}
    required: [title, weeks]
  sql: UPDATE loans SET due = due + :weeks WHERE title = :title AND reader = :reader
  returns: SELECT due FROM loans WHERE title = :title
"""
DATABASE = """-- Books on loan.
CREATE TABLE loans (title TEXT, reader INTEGER, due INTEGER);
INSERT INTO loans VALUES
  ('Emma', 1, 3),
  ('Dracula', 2, 1);
"""
TASK = {
    "id": "renew-1",
    "message": "Please let me keep Emma for two more weeks, I am card 7731.",
    "session": {"reader": 1},
    "kb": ["renewals.md"],
    "entities": ["Emma", "card 7731"],
    "expect": {
        "database": {
            "loans": {
                "removed": [{"title": "Emma", "reader": 1, "due": 3}],
                "added": [{"title": "Emma", "reader": 1, "due": 5}],
            }
        },
        "answer": ["5"],
    },
    "solution": [
        {"thought": "the rule", "call": "search", "arguments": {"query": "renewals"}},
        {"thought": "renew", "call": "renew", "arguments": {"title": "Emma", "weeks": 2}},
        {"thought": "done", "answer": "It is due in 5 weeks."},
    ],
}
CHAT = [
    {"role": "user", "content": "Hello?"},
    {"role": "assistant", "content": "Thought: greet.\nAnswer: Good day."},
]


def jsonl(*rows):
    """Rows as the text of a JSONL file."""
    return "".join(json.dumps(row) + "\n" for row in rows)
