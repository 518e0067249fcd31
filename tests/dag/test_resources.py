"""Every job tells a scheduler what it needs."""

import functools
import re

import pytest

from project import Project
from specialist.preflight.requests import ON_GPU

ASKED = re.compile(r"^(?:local)?rule (\S+):\n(?: {4}.*\n)*? {4}resources: (.*)$", re.MULTILINE)
TARGETS = (
    "results/agent_eval.json", "results/systems.svg", "results/report.html",
    "results/release/lora-q4", "results/paper/report.html",
)  # fmt: skip
# MB, minutes and GPUs of the default configuration on two cores.
DEFAULT = {
    "simulate_corpus": (800, 12, None),
    "prepare_sft": (800, 5, None),
    "embed_chunks": (1500, 4, 0),
    "pretrain": (1900, 104, 0),
    "train_lora": (4900, 78, 0),
    "merge_lora": (1100, 4, 0),
    "convert_gguf": (1100, 4, None),
    "quantize": (700, 4, None),
    "measure_gguf": (700, 4, 0),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A function from targets to what each job asks for: pairs of its rule and a dict."""
    project = Project.new(tmp_path_factory.mktemp("default")).overlay(resources={"gpu": "never"})

    @functools.cache
    def plan(*targets):
        status, said = project.snakemake("--dry-run", *targets)
        assert status == 0, said[-8000:]
        return [
            (rule, dict(pair.split("=") for pair in told.split(", ")))
            for rule, told in ASKED.findall(said)
            if rule != "all"
        ]

    return plan


def test_every_job_asks_for_memory_and_time(asked):
    found = asked(*TARGETS)
    assert len({rule for rule, _ in found}) > 40
    for rule, given in found:
        assert int(given["mem_mb"]) > 0 and int(given["runtime"]) > 0, rule


@pytest.mark.parametrize("rule", DEFAULT)
def test_requests_of_the_default(asked, rule):
    given = next(given for name, given in asked() if name == rule)
    found = [int(given[key]) if key in given else None for key in ("mem_mb", "runtime", "gpu")]
    assert tuple(found) == DEFAULT[rule]


def test_jobs_that_compute_on_a_gpu_say_so(asked):
    said = {rule for rule, given in asked(*TARGETS) if "gpu" in given}
    planned = {rule for rule, _ in asked(*TARGETS)}
    assert said == planned & ON_GPU
