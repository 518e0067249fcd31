"""The plan says what Snakemake would run, and names what it was that changed."""

import re
import shutil

import pytest

SPEC = "resources/datasets/food-delivery"
QUANTIZED = "results/food-delivery/gguf/lora-r16/Q4_K_M.gguf"


def entries(plan):
    """{first words of a line about jobs: lines about its causes below it}"""
    found, step = {}, None
    for line in plan.splitlines():
        if match := re.match(r" .{22}  (\S.*)", line):
            step = found.setdefault(match[1], [])
        elif line.startswith(29 * " ") and step is not None:
            step.append(line.strip())
    return found


CHANGES = {
    "learning rate": (
        lambda project: project.overlay(adapters={"lora-r16": {"learning_rate": 0.001}}),
        "train_lora lora-r16",
        "learning_rate: 0.003 -> 0.001",
    ),
    "article": (
        lambda project: project.edit(f"{SPEC}/handbook/late.md", "#", "# News:"),
        "simulate_.*",  # the first of those that read it; the others stand "as" that one
        f"{SPEC}/handbook/late.md changed",
    ),
    "function of a shared module": (
        lambda project: project.edit(
            "workflow/scripts/specialist/data/leakage.py", "def _text(row):", "def _text(row, *_):"
        ),
        "audit_leakage",
        "specialist/data/leakage.py: function _text changed",
    ),
    "pin": (
        lambda project: project.edit("envs/report.txt", "scipy==1.17.1", "scipy==1.17.0"),
        "collect_eval",
        "envs/report.txt: scipy 1.17.1 -> 1.17.0",
    ),
}


@pytest.mark.parametrize(("change", "step", "cause"), CHANGES.values(), ids=CHANGES)
def test_cause_is_named(tiny, fresh_copy, change, step, cause):
    project = fresh_copy(tiny)
    change(project)
    plan = project.plan()
    (told,) = [line for line, causes in entries(plan).items() if cause in causes]
    assert re.fullmatch(step, told)
    assert f"{len(project.planned())} jobs: " in plan


def test_nothing_to_do(tiny):
    assert "Nothing would run" in tiny.plan()


def test_options_are_those_of_a_run(tiny):
    plan = tiny.plan(QUANTIZED, "-R", "quantize")
    assert list(entries(plan)) == ["step", "quantize lora-r16 Q4_K_M (forced)"]
    assert "1 job: 1 computed" in plan


def test_target_of_the_workflow_says_the_same(tiny, fresh_copy):
    project = fresh_copy(tiny).overlay(adapters={"lora-r2": {"rank": 3}})
    status, said = project.snakemake("plan")
    assert status == 0 and "train_lora lora-r2" in said and "rank: 2 -> 3" in said
    assert "train_lora lora-r2" in project.planned()


def test_deleted_results_would_be_restored(tiny, fresh_copy):
    project = fresh_copy(tiny)
    shutil.rmtree(project.folder / "results")
    plan = project.plan()
    assert f"{len(tiny.ran)} jobs: {len(tiny.ran)} restored" in plan
    assert re.search(r"restored +quantize (lora-r\d+ Q4_K_M(, )?){2} \(never ran here\)", plan)


def test_mistake_ends_with_its_message(tiny, fresh_copy):
    project = fresh_copy(tiny).overlay(headline="nobody")
    with pytest.raises(AssertionError, match="headline: found nobody"):
        project.plan()
