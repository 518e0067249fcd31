"""Every file that a job reads is an input of its rule: each job sees its inputs only."""

import pytest

import bike_shop
from isolated import isolate
from project import TINY, Project

# One adapter and two of its systems less: each rule has a job still.
FEWER = {
    "adapters": {"lora-r2": None},
    "systems": {"lora-r2-q4": None, "lora-q4-no-retrieval": None},
}
SHOP = "results/bike-shop/prepared"
TARGETS = (
    "all", "results/release/lora-q4", f"{SHOP}/corpus.json", f"{SHOP}/sft.json",
    f"{SHOP}/tasks.jsonl", f"{SHOP}/system_prompt.txt", "results/bike-shop/index/minilm/gate.json",
)  # fmt: skip
PROMPT = "results/food-delivery/prepared/system_prompt.txt"
READS = {
    "relative": 'open("config/config.yaml")',
    "absolute": 'open("{root}/config/config.yaml")',
    "listed": 'os.listdir("{root}/config")',
    "data": 'open("{data}/tasks.jsonl")',
    "process": 'subprocess.run(["cat", "config/config.yaml"], check=True)',
}


@pytest.fixture(scope="module")
def isolated(tmp_path_factory):
    """The tiny project, with a dataset of the user's outside its folder; nothing has run."""
    folder, data = tmp_path_factory.mktemp("isolated") / "project", tmp_path_factory.mktemp("data")
    shop = data / "bike-shop"
    bike_shop.write(shop)
    page = "<html><body><h1>Tyres</h1><p>A tyre lasts two years.</p></body></html>"
    (shop / "kb" / "more").mkdir()
    (shop / "kb" / "more" / "tyres.html").write_text(page, encoding="utf-8")
    project = Project.new(folder, TINY).overlay(**FEWER)
    project.overlay(datasets=bike_shop.CONFIG["datasets"] | {"bike-shop": {"path": str(shop)}})
    project.env, project.data = isolate(project, data), shop
    return project


def test_jobs_read_only_what_they_declare(isolated):
    ran = isolated.run(*TARGETS)
    rules = {job.split()[0] for job in ran}
    assert {"pretrain", "train_lora", "quantize", "run_agent", "make_release"} <= rules
    assert (isolated.folder / "results/report.html").is_file()


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_other_reads_fail(isolated, fresh_copy, read):
    """The test above can fail."""
    project = fresh_copy(isolated)
    project.env = isolate(project, isolated.data)
    read = read.format(root=project.folder, data=isolated.data)
    script = project.folder / "workflow/scripts/dataset/render_prompt.py"
    text = script.read_text(encoding="utf-8")
    start = text.index("def render_prompt")
    body = text.index('"""', text.index('"""', start) + 3) + 3
    script.write_text(f"{text[:body]}\n    import os, subprocess\n    {read}\n{text[body:]}")
    status, output = project.snakemake(PROMPT)
    assert status != 0
    assert "No such file" in output or "does not declare" in output or "non-zero" in output
