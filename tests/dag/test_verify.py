"""Verification of a result that was made, and of one that was damaged."""

import os

SPEC = "resources/datasets/food-delivery"
QUANTIZED = "results/food-delivery/gguf/lora-r16/Q4_K_M.gguf"


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()  # it may be shared with other folders
    path.write_bytes(data)


def test_chain_from_the_dataset_to_the_result(tiny):
    status, said = tiny.verify()
    assert status == 0
    order = [
        said.index(word) for word in (SPEC, "pretrain small", "quantize lora-r16", "collect_eval")
    ]
    assert order == sorted(order)
    # The plot and the page are not behind the result.
    assert f"{len(tiny.ran) - 2} steps" in said


def test_one_byte_of_a_model_is_found_and_mended(tiny, fresh_copy):
    project = fresh_copy(tiny)
    flip_a_byte(project.folder / QUANTIZED)
    status, said = project.verify()
    assert status == 1
    assert said.startswith(
        f"1 problem(s) behind results/agent_eval.json:\n  {QUANTIZED}: altered: "
    )
    assert "made by quantize lora-r16 Q4_K_M" in said
    assert said.splitlines()[-2:] == [f"  rm {QUANTIZED}", f"  snakemake --cores all {QUANTIZED}"]
    os.remove(project.folder / QUANTIZED)
    project.run(QUANTIZED)
    assert project.verify()[0] == 0
    assert project.planned() == set()


def test_truncated_file_is_made_again_though_all_times_fit(tiny, fresh_copy):
    project = fresh_copy(tiny)
    path = project.folder / QUANTIZED
    time, data = path.stat().st_mtime, path.read_bytes()
    path.unlink()  # it may be shared with other folders
    path.write_bytes(data[:-1])
    os.utime(path, (time, time))
    assert f"{QUANTIZED}: found {len(data) - 1} bytes, expected {len(data)}" in project.plan()
    written = project.written()
    project.run()
    assert "quantize" in {record["rule"] for record in project.since(written)}
    assert path.read_bytes() == data
    assert project.planned() == set()


def test_edited_spec_has_changed_since(tiny, fresh_copy):
    project = fresh_copy(tiny)
    project.edit(f"{SPEC}/figures.yaml", "minutes: 35, percent: 20", "minutes: 40, percent: 25")
    status, said = project.verify()
    assert status == 0
    assert f"{SPEC}/figures.yaml was changed" in said


def test_stale_chain_after_half_a_run(tiny, fresh_copy):
    project = fresh_copy(tiny)
    project.edit(f"{SPEC}/figures.yaml", "minutes: 35, percent: 20", "minutes: 40, percent: 25")
    project.run("simulate_kb_food-delivery")
    status, said = project.verify()
    assert status == 1
    assert "kb/late.md: stale: chunk_kb minilm read it" in said
    assert said.splitlines().count("  snakemake --cores all results/agent_eval.json") == 1
