"""The table of a sweep takes the figures of every adapter that the systems use."""

import pandas as pd

from project import TINY, Project

SWEEP = {
    "adapters": {"r3": {"base": "small", "rank": 3}},
    "systems": {"r3": {"adapter": "r3", "quantization": "Q4_K_M", "index": "minilm"}},
}


def test_a_value_more_trains_one_adapter(tiny, fresh_copy):
    project = fresh_copy(tiny)
    assert project.planned("results/sweep.svg") == {"collect_sweep", "plot_sweep"}
    project.overlay(**SWEEP)
    assert project.planned("results/sweep.svg") == {
        "train_lora r3", "render_text r3", "merge_lora r3", "convert_gguf r3", "quantize r3 Q4_K_M",
        "run_agent r3", "score r3", "collect_eval", "audit_leakage", "collect_sweep", "plot_sweep",
    }  # fmt: skip


def test_table_of_a_run(tiny, fresh_copy):
    project = fresh_copy(tiny)
    assert project.run("results/sweep.svg") == {"collect_sweep", "plot_sweep"}
    table = pd.read_csv(project.folder / "results/sweep.csv", index_col="system")
    ranks = {"lora-q4": 4, "lora-q4-no-retrieval": 4, "lora-r2-q4": 2}
    assert table["rank"].dropna().to_dict() == ranks
    assert (table.loc[list(ranks), ["held_out_loss", "training_seconds", "bytes"]] > 0).all(None)
    assert table.loc["oracle", "solved"] == 1 and (table["agent_memory_mb"] > 0).all()


def test_second_stages_count(tmp_path):
    project = Project.new(tmp_path, TINY)
    project.overlay(adapters={"lora-r2": {"dpo": {}}})
    planned = project.planned("results/sweep.csv")
    assert {"train_dpo lora-r2", "collect_sweep"} <= planned
