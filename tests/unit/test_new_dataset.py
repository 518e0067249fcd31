"""A dataset from a folder of documents."""

import json
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from new_dataset import new
from specialist.agent.database import open_database
from specialist.config.files import read
from specialist.config.load import load
from specialist.config.paths import Paths
from specialist.core.errors import UserError

ROOT = Path(__file__).parents[2]
DATABASE = """CREATE TABLE orders (id TEXT PRIMARY KEY, total INTEGER);
CREATE TABLE lines (order_id TEXT, part TEXT);
CREATE TABLE customers (number INTEGER PRIMARY KEY, name TEXT);
INSERT INTO orders VALUES ('A1', 5); INSERT INTO customers VALUES (7, 'Eva');
"""


@pytest.fixture
def project(tmp_path):
    """(root of a project, folder of documents)"""
    (tmp_path / "root" / "config").mkdir(parents=True)
    documents = tmp_path / "documents"
    (documents / "kb" / "faq").mkdir(parents=True)
    (documents / "kb" / "faq" / "refunds.md").write_text("# Refunds\n\nWithin 30 days.\n")
    (documents / "prices.PDF").write_bytes(b"x")
    (documents / "notes.odt").write_bytes(b"x")
    (documents / ".git").mkdir()
    (documents / ".git" / "a.md").write_text("hidden")
    return tmp_path / "root", documents


def configured(root, name):
    """The configuration of a new dataset, over the default one."""
    config = read(ROOT / "config/config.yaml")
    update_config(config, read(root / "config" / f"{name}.yaml"))
    return config


def test_documents_alone_become_a_search(project, monkeypatch):
    root, documents = project
    there, left_out = new("my-shop", documents, root)
    assert there == {"kb/"} and left_out == [documents / "notes.odt"]
    folder = root / "data" / "my-shop"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "kb", "tasks.example.jsonl"
    ]  # fmt: skip
    monkeypatch.chdir(ROOT)  # where the spec of the default dataset is
    raw = configured(root, "my-shop")
    raw["datasets"]["my-shop"] = {"path": str(folder)}
    config = load(raw)
    assert [*config["systems"]] == ["random"] and config["headline"] == "random"
    paths = Paths(config).datasets
    assert paths.sources("my-shop") == ["faq/refunds.md", "prices.PDF"]
    with pytest.raises(UserError, match="found no tasks in .*my-shop.*compares the systems"):
        paths.needed("my-shop", "tasks")
    rows = [json.loads(line) for line in (folder / "tasks.example.jsonl").open()]
    assert [row["kb"] for row in rows] == [["faq/refunds.md"], ["prices.PDF"]]
    readme = (folder / "README.md").read_text()
    assert "- [x] `kb/`" in readme and "- [ ] `tasks.jsonl`" in readme


def test_tools_look_up_the_tables_of_the_database(project, monkeypatch):
    root, documents = project
    (documents / "database.sql").write_text(DATABASE)
    (documents / "sft.jsonl").write_text("{}\n")
    there, _ = new("my-shop", documents, root)
    assert there == {"kb/", "database.sql", "sft.jsonl", "tools.yaml"}
    text = (root / "data/my-shop/tools.yaml").read_text()
    assert "# No tool for 'lines': a tool needs one key column" in text
    tools = {tool["name"]: tool for tool in yaml.safe_load(text)}
    assert [*tools] == ["find_orders", "find_customers"] and "# - name: cancel_order" in text
    assert tools["find_customers"]["parameters"]["properties"] == {"number": {"type": "integer"}}
    database = open_database(DATABASE)
    found = database.execute(tools["find_orders"]["returns"], {"id": "A1"}).fetchall()
    assert [tuple(row) for row in found] == [("A1", 5)]
    assert "adapters" not in read(root / "config/my-shop.yaml")  # the default ones are trained


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root, d: (root / "data/my-shop").mkdir(parents=True), "exists already"),
        (lambda root, d: (root / "config/my-shop.yaml").touch(), "exists already"),
        (lambda root, d: (d / "database.sql").write_text("CREATE"), "database.sql"),
        (lambda root, d: ((d / "faq").mkdir(), (d / "faq/refunds.md").touch()), "the same name"),
    ],
)
def test_nothing_is_overwritten_or_half_made(project, change, said):
    root, documents = project
    change(root, documents)
    before = sorted(root.rglob("*"))
    with pytest.raises(UserError, match=said):
        new("my-shop", documents, root)
    assert sorted(root.rglob("*")) == before
    for name in ("../x", "", "a b"):
        with pytest.raises(UserError, match="NAME: found"):
            new(name, documents, root)
    with pytest.raises(UserError, match="found no document"):
        new("other", root, root)


def test_mails_and_a_folder_of_tickets_become_tickets(project):
    root, documents = project
    (documents / "tickets").mkdir()
    (documents / "tickets" / "old.csv").write_text("message\nWhere is it?\n")
    (documents / "tickets" / "photo.png").write_bytes(b"x")
    (documents / "Inbox").write_text("From eva@x.org Mon Feb  3 10:00:00 2025\n\nWhere?\n")
    (documents / "table.csv").write_text("a,b\n1,2\n")
    (documents / "one.EML").write_text("Subject: a\n\nWhere?\n")
    there, left_out = new("my-shop", documents, root)
    assert there == {"kb/", "tickets/"}
    assert left_out == [documents / "notes.odt", documents / "tickets/photo.png"]
    folder = root / "data/my-shop"
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert found == [
        "README.md", "kb/faq/refunds.md", "kb/prices.PDF", "kb/table.csv", "tasks.example.jsonl",
        "tickets/Inbox.mbox", "tickets/old.csv", "tickets/one.EML",
    ]  # fmt: skip
    assert "- [x] `tickets/`" in (folder / "README.md").read_text()


def test_a_single_mbox_is_enough(project):
    root, documents = project
    (documents / "Inbox").write_text("From eva@x.org Mon Feb  3 10:00:00 2025\n\nWhere?\n")
    there, left_out = new("my-shop", documents / "Inbox", root)
    assert (there, left_out) == ({"tickets/"}, [])
    assert (root / "data/my-shop/tickets/Inbox.mbox").is_file()
    with pytest.raises(UserError, match="expected a folder that exists, or an mbox"):
        new("other", documents / "prices.PDF", root)
