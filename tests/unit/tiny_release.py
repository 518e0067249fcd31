"""A release with a tiny model that was taught a few conversations, made without Snakemake."""

import json
import shutil
from pathlib import Path

import yaml

import tiny_models

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
ORDER, NAME, ANSWER = "FD-12", "shop-tiny", "Order FD-12 is cancelled."
SETTINGS = {"max_steps": 4, "context": 512, "max_new_tokens": 64, "top_k": 1, "rules": True}
DATABASE = f"""CREATE TABLE orders (id TEXT, customer INTEGER, state TEXT);
INSERT INTO orders VALUES ('{ORDER}', 7, 'open');
"""
CANCEL = {
    "name": "cancel",
    "description": "Cancel an order.",
    "parameters": {
        "type": "object",
        "properties": {"order": {"type": "string"}},
        "required": ["order"],
    },
    "sql": "UPDATE orders SET state = 'cancelled' WHERE id = :order AND customer = :customer",
    "returns": "SELECT state FROM orders WHERE id = :order",
}
PROGRAMS = [f"release/{name}.py" for name in ("chat", "serve", "verify_release")]
TASKS = [{"kind": "cancel", "message": f"Cancel {ORDER}!", "session": {"customer": 7}}]


def write(folder):
    """Write the release below a folder; returns its path."""
    from make_release import make_release

    from specialist.agent import react
    from specialist.agent.memory import remembered
    from specialist.core.prompt import system_message
    from specialist.engine.digest import sources
    from specialist.gguf.converter import convert
    from specialist.release.contents import PAGE_FILES

    model, prompt = tiny_models.save_model(folder / "model"), ROOT / "resources/prompts/react.jinja"
    shutil.copy(ROOT / "resources/prompts/chat_template.jinja", model)
    steps = [
        {"thought": "cancel it", "call": "cancel", "arguments": {"order": ORDER}},
        {"thought": "done", "answer": ANSWER},
    ]
    steps[0]["observation"] = json.dumps({"state": "cancelled"})
    system = {"role": "system", "content": system_message(prompt, [CANCEL])}
    asked = [f"Cancel {ORDER}!", "Hi", "Where is my order?", "Is it?"]
    episodes = [react.messages(text, steps) for text in asked]
    # What the loop gives to the model: earlier exchanges are condensed.
    taught = [
        remembered([system, *sum(episodes[start : start + count], [])])
        for count in (1, 2, 4, 3)
        for start in range(5 - count)
    ]
    tiny_models.teach(model, taught)
    convert(model, model / "model.gguf", "tiny")
    files = {
        "tools.yaml": yaml.safe_dump([CANCEL]),
        "database.sql": DATABASE,
        "tasks.jsonl": "".join(json.dumps(task) + "\n" for task in TASKS),
        "Modelfile": "FROM ./model.gguf\n",
        "README.md": "# Tiny\n",
        "scores.json": json.dumps({"success": 9, "n": 10}),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    make_release(
        model / "model.gguf",
        folder / "Modelfile",
        folder / "README.md",
        ROOT / "LICENSE",
        prompt,
        folder / "tools.yaml",
        folder / "database.sql",
        [],
        [],
        folder / "tasks.jsonl",
        folder / "scores.json",
        [],
        [SCRIPTS / name for name in sources(*PROGRAMS)],
        [ROOT / "workflow/report" / name for name in PAGE_FILES],
        ROOT / "envs" / "serve.txt",
        folder / "made",
        name=NAME,
        limits=SETTINGS,
        examples=3,
        sources=[],
        search={},
    )
    return folder / "made"
