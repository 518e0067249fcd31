"""Every file that a job reads is an input of its rule: each job sees its inputs only.

`make test-isolation` runs it.
"""

import pytest

import bike_shop
from isolated import isolate
from project import TINY, Project

# One adapter and three systems less: each rule has a job still.
FEWER = {
    "adapters": {"lora-r2": None},
    "systems": {"base-f16": None, "lora-r2-q4": None, "lora-q4-no-retrieval": None},
}
SHOP = "results/bike-shop/prepared"
TARGETS = (
    "all", "results/release/lora-q4", f"{SHOP}/corpus.json", f"{SHOP}/sft.json",
    f"{SHOP}/tasks.jsonl", f"{SHOP}/system_prompt.txt",
    "results/bike-shop/index/minilm/chunks.jsonl",
)  # fmt: skip
PROMPT = "results/food-delivery/prepared/system_prompt.txt"
READS = (
    'open("config/config.yaml")',
    'open("{root}/config/config.yaml")',
    'os.listdir("{root}/config")',
    'open("{data}/tasks.jsonl")',
    'subprocess.run(["cat", "config/config.yaml"], check=True)',
)


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
    entry = bike_shop.CONFIG["datasets"]["bike-shop"] | {"path": str(shop)}
    project.overlay(datasets={"bike-shop": entry})
    project.env, project.data = isolate(project, data), shop
    return project


def test_jobs_read_only_what_they_declare(isolated):
    ran = isolated.run(*TARGETS)
    rules = {job.split()[0] for job in ran}
    assert {"pretrain", "train_lora", "quantize", "run_agent", "make_release"} <= rules
    assert (isolated.folder / "results/report.html").is_file()


def with_reads(project, code):
    """Let render_prompt run code before its own."""
    script = project.folder / "workflow/scripts/dataset/render_prompt.py"
    text = script.read_text(encoding="utf-8")
    start = "    import yaml\n"
    assert text.count(start) == 1
    code = "".join(f"    {line}\n" for line in ("import os, subprocess", *code))
    script.write_text(text.replace(start, code + start), encoding="utf-8")
    return project


def test_every_other_read_is_refused(isolated, fresh_copy):
    """By relative and absolute paths, of a folder, of the user's data, and by another program."""
    project, code = fresh_copy(isolated), []
    project.env = isolate(project, isolated.data)
    for read in READS:
        read = read.format(root=project.folder, data=isolated.data)
        code += [
            "try:", f"    {read}", "except (OSError, subprocess.CalledProcessError):", "    pass",
            "else:", f"    raise AssertionError({read!r})",
        ]  # fmt: skip
    assert "render_prompt" in with_reads(project, code).run(PROMPT)


def test_a_job_that_reads_more_fails(isolated, fresh_copy):
    project = with_reads(fresh_copy(isolated), [READS[0]])
    project.env = isolate(project, isolated.data)
    status, output = project.snakemake(PROMPT)
    assert status != 0
    assert "No such file or directory: 'config/config.yaml'" in output
