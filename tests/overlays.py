"""What the ready overlays in config/ need, and what they plan."""

import json

import bike_shop

LABELLED = [
    {"prompt": f"My {part} is {state}.", "completion": f"Thought: A fault.\nAnswer: {state}"}
    for part in bike_shop.PARTS
    for state in bike_shop.STATES
]
QUESTION = {"id": "a", "kind": "b", "message": "When?", "expect": {"answer": ["nine"]}}
# overlay: files of the dataset, jobs that must be planned, rules that must not be
OVERLAYS = {
    "search-only": (
        {"kb/opening.md": bike_shop.ARTICLES["opening.md"], "tasks.jsonl": [QUESTION]},
        {"chunk_kb minilm", "measure_retrieval minilm", "run_agent random"},
        {"pretrain", "train_lora", "prepare_sft", "prepare_corpus", "learn_queries"},
    ),
    "classify": (
        {"sft.jsonl": LABELLED, "tasks.jsonl": [QUESTION]},
        {"pretrain small", "train_lora lora-r16", "run_agent lora-q4", "run_agent random"},
        {"chunk_kb", "embed_chunks", "measure_retrieval"},
    ),
    "all": (
        {
            "corpus/notes.md": "# Notes\n\nA bicycle has two wheels.\n",
            "sft.jsonl": LABELLED,
            "kb/opening.md": bike_shop.ARTICLES["opening.md"],
            "tools.yaml": bike_shop.TOOLS,
            "database.sql": bike_shop.DATABASE,
            "tasks.jsonl": [bike_shop.APPROVE],
        },
        {"pretrain small", "train_lora lora-r16", "chunk_kb minilm", "run_agent lora-q4"},
        {"simulate_corpus", "simulate_sft"},
    ),
    "tools-only": (
        {
            "sft.jsonl": LABELLED,
            "tasks.jsonl": [bike_shop.APPROVE],
            "tools.yaml": bike_shop.TOOLS,
            "database.sql": bike_shop.DATABASE,
        },
        {"pretrain small", "train_lora lora-r16", "run_agent oracle", "run_agent lora-q4"},
        {"chunk_kb", "embed_chunks", "measure_retrieval"},
    ),
}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        (folder / name).write_text(content)
