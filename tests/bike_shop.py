"""A dataset as a user brings it: a bicycle workshop, in a folder of files."""

import csv
import json
from itertools import product

CONFIG = {
    "dataset": "bike-shop",
    "datasets": {"bike-shop": {"path": "data/bike-shop", "columns": {"conversations": "dialogue"}}},
    "adapters": {"lora-r2": None},
    "systems": {"base-f16": None, "lora-r2-q4": None},
}

BIKES = ("tourer", "racer", "tandem", "folder", "cruiser", "trailer")
PARTS = ("chain", "brake", "saddle", "pedal", "spoke", "tyre")
STATES = ("worn", "loose", "bent", "rusty", "dry")

ARTICLES = {
    "opening.md": "# Opening hours\n\nThe workshop opens at nine and closes at six.\n",
    "prices.txt": "A service costs 45 euros. A puncture is mended for 12 euros.\n",
}

TOOLS = """\
- name: find_repair
  description: Look up the customer's repair.
  parameters:
    type: object
    properties: {bike: {type: string}}
    required: [bike]
  returns: SELECT state, price FROM repairs WHERE bike = :bike AND customer = :customer
- name: approve
  description: Approve a repair at its price.
  parameters:
    type: object
    properties: {bike: {type: string}, price: {type: integer}}
    required: [bike, price]
  require:
    - sql: SELECT 1 FROM repairs WHERE bike = :bike AND customer = :customer AND price = :price
      otherwise: this is not the price of the repair
  sql: UPDATE repairs SET state = 'approved' WHERE bike = :bike AND customer = :customer
  returns: SELECT state FROM repairs WHERE bike = :bike AND customer = :customer
"""

DATABASE = """\
CREATE TABLE repairs (bike TEXT, customer INTEGER, state TEXT, price INTEGER);
INSERT INTO repairs VALUES
  ('unicycle', 1, 'waiting', 38),
  ('handcycle', 2, 'done', 45);
"""

ASK = {
    "id": "ask-hours",
    "kind": "question",
    "message": "When can I bring my unicycle round tomorrow, please?",
    "kb": ["opening.md"],
    "turns_on_kb": True,
    "expect": {"answer": ["nine"]},
    "solution": [
        {"thought": "The hours.", "call": "search", "arguments": {"query": "opening hours"}},
        {"thought": "It says so.", "answer": "We open at nine."},
    ],
}
APPROVE = {
    "id": "approve-unicycle",
    "kind": "repair",
    "message": "Go ahead with whatever my unicycle needs.",
    "session": {"customer": 1},
    "expect": {
        "database": {
            "repairs": {
                "removed": [{"bike": "unicycle", "customer": 1, "state": "waiting", "price": 38}],
                "added": [{"bike": "unicycle", "customer": 1, "state": "approved", "price": 38}],
            }
        },
        "answer": ["38"],
    },
    "solution": [
        {"thought": "The price.", "call": "find_repair", "arguments": {"bike": "unicycle"}},
        {
            "thought": "Approve it.",
            "call": "approve",
            "arguments": {"bike": "unicycle", "price": 38},
        },
        {"thought": "Done.", "answer": "It is approved for 38 euros."},
    ],
}
# The tools take :customer from the session of every task.
TASKS = [{**ASK, "session": {"customer": 2}}, APPROVE]


def write(folder):
    """Write the dataset; the corpus as text and Markdown, the conversations as ShareGPT in CSV."""
    for part in ("corpus", "kb"):
        (folder / part).mkdir(parents=True)
    found = list(product(BIKES, PARTS, STATES))
    diary = [
        f"The {part} of the {bike} was {state}, so we mended it.\n" for bike, part, state in found
    ]
    notes = [
        f"{bike}: {state} {part}, to be checked again in spring\n" for bike, part, state in found
    ]
    # Two texts in other words: near-duplicates would have to stay on one side of the split.
    for name, lines in {"diary.txt": diary[::2], "notes.md": ["# Notes\n\n", *notes[1::2]]}.items():
        (folder / "corpus" / name).write_text("".join(lines), encoding="utf-8")
    for name, text in ARTICLES.items():
        (folder / "kb" / name).write_text(text, encoding="utf-8")
    (folder / "tools.yaml").write_text(TOOLS, encoding="utf-8")
    (folder / "database.sql").write_text(DATABASE, encoding="utf-8")
    write_tasks(folder, TASKS)
    with open(folder / "sft.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["number", "dialogue"])
        rows.writerows([number, dialogue(*names)] for number, names in enumerate(found[:60]))


def dialogue(bike, part, state):
    """A conversation in the form of ShareGPT."""
    return json.dumps(
        [
            {"from": "human", "value": f"What is wrong with the {part} of my {bike}?"},
            {"from": "gpt", "value": f"Thought: I saw it.\nAnswer: It is {state}."},
        ]
    )


def write_tasks(folder, tasks):
    text = "".join(json.dumps(task) + "\n" for task in tasks)
    (folder / "tasks.jsonl").write_text(text, encoding="utf-8")
