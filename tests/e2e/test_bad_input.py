"""Mistakes of users: each is refused with its place and its cure, before anything is trained."""

import pytest

import bike_shop
from project import TINY, Project

SHOP = "data/bike-shop"
SYSTEM = {"adapter": "lora-r16", "quantization": "Q4_K_M"}


@pytest.fixture
def project(tmp_path):
    """A tiny project of a user's own dataset, in which nothing has run."""
    made = Project.new(tmp_path, TINY)
    bike_shop.write(made.folder / SHOP)
    return made.overlay(**bike_shop.CONFIG)


def refused(project):
    """What Snakemake says, on one core, where what trains would come first if it could."""
    status, output = project.snakemake(cores=1)
    assert status != 0
    started = [path.parent.name for path in (project.folder / "results").rglob("*.log")]
    assert not {"pretrain", "train_lora", "train_tokenizer"}.intersection(started)
    assert "Traceback (most recent call last)" not in output
    return output


CONFIG_MISTAKES = {
    "key": ({"bases": {"small": {"dept": 2}}}, "bases.small.dept", "did you mean depth"),
    "dataset": ({"dataset": "bike-shp"}, "dataset: found bike-shp", "did you mean bike-shop"),
    "base": (
        {"adapters": {"lora-r16": {"base": "smal"}}},
        "adapters.lora-r16.base: found smal",
        "did you mean small",
    ),
    "adapter": (
        {"systems": {"lora-q4": {"adapter": "lora-r61"}}},
        "systems.lora-q4.adapter: found lora-r61",
        "did you mean lora-r16",
    ),
    "folder": (
        {"datasets": {"bike-shop": {"path": "data/bike-shp"}}},
        "datasets.bike-shop.path: found data/bike-shp",
        "did you mean data/bike-shop",
    ),
    "number": ({"bases": {"small": {"depth": 0}}}, "bases.small.depth: found 0", "at least 1"),
}


@pytest.mark.parametrize(("values", "place", "cure"), CONFIG_MISTAKES.values(), ids=CONFIG_MISTAKES)
def test_config(project, values, place, cure):
    output = refused(project.overlay(**values))
    assert place in output and cure in output
    assert not (project.folder / "results").exists()


def write(name, text):
    data = text if isinstance(text, bytes) else text.encode()
    return lambda folder: (folder / name).write_bytes(data)


def remove(name):
    return lambda folder: (folder / name).unlink()


def edit(name, old, new):
    def change(folder):
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")

    return change


def task(**values):
    tasks = [bike_shop.TASKS[0], bike_shop.APPROVE | values]
    return lambda folder: bike_shop.write_tasks(folder, tasks)


DATA_MISTAKES = {
    "no conversations": (
        remove("sft.csv"),
        "found no sft in data/bike-shop",
        "sft.jsonl or sft.csv",
    ),
    "row of a conversation": (
        write("sft.csv", 'number,dialogue\n1,"[{""from"": ""gpt"", ""value"": ""Hello.""}]"\n'),
        "sft.csv:2, conversations[0].from: found assistant first",
        "put the messages in order",
    ),
    "not UTF-8": (
        write("corpus/notes.md", "Caf\u00e9\n".encode("latin-1")),
        "notes.md:1: found the byte 0xe9",
        "save the file in the encoding UTF-8",
    ),
    "article not UTF-8": (
        write("kb/opening.md", "Caf\u00e9\n".encode("latin-1")),
        "opening.md, line 1: byte 0xe9",
        "save the article in the encoding UTF-8",
    ),
    "file of another kind": (
        write("kb/prices.pptx", "PK"),
        "kb/prices.pptx: expected one of *.",
        "convert the file, or move it out",
    ),
    "empty article": (write("kb/prices.txt", ""), "prices.txt: the article is empty", "write it"),
    "SQL of a tool": (
        edit("tools.yaml", "SELECT state, price", "SELEKT state, price"),
        "tools.yaml, tool find_repair, returns",
        "fix the statement",
    ),
    "schema of a tool": (
        edit("tools.yaml", "{bike: {type: string}}", "{bike: {type: bicycle}}"),
        'tools.yaml, [0].parameters.properties.bike.type: found "bicycle"',
        "expected one of string, integer, number",
    ),
    "SQL of the database": (
        edit("database.sql", "INSERT INTO repairs", "INSERT INTO repair"),
        "database.sql:2: SQLite says: no such table: repair",
        "fix this statement",
    ),
    "tool of a task": (
        task(solution=[{"thought": "?", "call": "find_bike"}, {"thought": "!", "answer": "38"}]),
        "tasks.jsonl:2, solution[0].call: found the unknown tool find_bike",
        "expected one of search, find_repair, approve",
    ),
    "table of a task": (
        task(expect={"database": {"repair": {}}}),
        "tasks.jsonl:2, expect.database.repair: unknown table",
        "did you mean repairs",
    ),
    "article of a task": (
        task(kb=["prizes.txt"]),
        "tasks.jsonl:2, kb[0]: found prizes.txt",
        "did you mean prices.txt",
    ),
    "solution of a task": (
        task(expect={"answer": ["38"]}),
        "tasks.jsonl:2, expect.database.repairs.removed: found {",
        "which is not expected after the solution; fix `expect` or `solution`",
    ),
    "leaking task": (
        edit("corpus/diary.txt", "The chain", f"{bike_shop.ASK['message']}\nThe chain"),
        "ask-hours",
        "Rephrase the tasks or remove the training rows",
    ),
}


@pytest.mark.parametrize(("change", "place", "cure"), DATA_MISTAKES.values(), ids=DATA_MISTAKES)
def test_data(project, change, place, cure):
    change(project.folder / SHOP)
    output = refused(project)
    assert place in output and cure in output
