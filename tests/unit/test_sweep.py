"""A sweep as a table and a plot: one row for each system, with the settings that differ."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest
from collect_sweep import collect_sweep
from plot_sweep import plot_sweep

from specialist.report.sweep import FIGURES, NAMES

ADAPTER = {"base": "small", "rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"]}
CONFIG = {
    "bases": {"small": {"depth": 4, "seed": 1}, "large": {"depth": 8, "seed": 1}},
    "adapters": {
        "r4": ADAPTER,
        "r64": {**ADAPTER, "rank": 64, "examples": 200, "dpo": {"beta": 0.1}},
    },
    "systems": {
        "oracle": {"policy": "scripted", "index": "minilm", "trials": 1},
        "r4": {"adapter": "r4", "quantization": "F16", "index": "minilm", "trials": 4},
        "r64": {"adapter": "r64", "quantization": "F16", "index": "minilm", "trials": 1},
        "bare": {"base": "large", "quantization": "F16", "trials": 1},
    },
}
COST = {"start_s": 1.0, "import_s": 2.0, "compute_s": 7.0, "peak_memory_mb": 300}


def counts(solved, **more):
    return {"n": 10, "success_rate": solved, "ci95": [solved / 2, 1 - solved / 4], **more}


def system(solved, model=True):
    return {
        **counts(solved),
        "tasks": counts(solved, harm_per_100=1.5),
        "conversations": counts(solved / 2, harm_per_100=3.0) if model else None,
        "model": {"bytes": 3_000_000} if model else None,
    }


@pytest.fixture
def swept(tmp_path):
    """The table of a run with two adapters, a base alone and a policy."""

    def write(name, value):
        path = tmp_path / name
        path.write_text(json.dumps(value))
        return path

    result = {
        "systems": {
            "oracle": system(1.0, model=False), "r4": system(0.5), "r64": system(0.8),
            "bare": system(0.0),
        },
        "provenance": {"config": CONFIG},
    }  # fmt: skip
    steps = [
        "pretrain small", "train_lora r4", "train_lora r64", "train_dpo r64",
        "run_agent oracle", "run_agent r4", "run_agent r64", "run_agent bare",
    ]  # fmt: skip
    costs = [write(f"{step}.json", COST | {"peak_memory_mb": 300 + n, "hardware": {
        "processor": "p", "cpus": 2}}) for n, step in enumerate(steps)]  # fmt: skip
    figures = [
        write("r4.json", {"held_out_loss": 0.5}),
        write("r64.json", {"before": {"held_out_loss": 9}, "after": {"held_out_loss": 0.25}}),
    ]
    sweep = tmp_path / "sweep.csv"
    given = SimpleNamespace(adapters=["r4", "r64"], steps=steps)
    collect_sweep(write("eval.json", result), figures, costs, sweep, settings=given)
    return sweep


def test_the_settings_that_differ_are_columns(swept):
    table = pd.read_csv(swept, index_col="system")
    settings = [name for name in table if name not in (*NAMES, *FIGURES)]
    assert settings == ["index", "rank", "examples", "dpo", "dpo.beta", "base.depth"]
    assert list(table.index) == ["oracle", "r4", "r64", "bare"]
    assert table["rank"].dropna().to_dict() == {"r4": 4, "r64": 64}
    assert table["index"].dropna().to_dict() == {"r4": "minilm", "r64": "minilm"}
    assert table["base.depth"].dropna().to_dict() == {"r4": 4, "r64": 4, "bare": 8}
    assert table.loc["oracle", [*settings, "adapter", "base"]].isna().all()


def test_figures_are_those_of_the_run(swept):
    table = pd.read_csv(swept, index_col="system")
    assert table["held_out_loss"].dropna().to_dict() == {"r4": 0.5, "r64": 0.25}
    assert table.loc["r4", ["solved", "low", "high"]].tolist() == [0.5, 0.25, 0.875]
    assert table.loc["r64", "conversations_solved"] == 0.4
    assert pd.isna(table.loc["oracle", "conversations_n"]) and table.loc["oracle", "tasks_n"] == 10
    assert table.loc["r4", ["harm_per_100_tasks", "harm_per_100_conversations"]].tolist() == [
        1.5,
        3,
    ]
    assert table["training_seconds"].dropna().to_dict() == {"r4": 10, "r64": 20}
    assert table["training_memory_mb"].dropna().to_dict() == {"r4": 301, "r64": 303}
    assert table["pretraining_seconds"].dropna().to_dict() == {"r4": 10, "r64": 10}
    assert table["agent_memory_mb"].tolist() == [304, 305, 306, 307]
    assert table["bytes"].dropna().tolist() == 3 * [3_000_000]
    text = swept.read_text()
    assert ",3000000," in text and ",64," in text  # whole numbers stay whole


def test_plot_has_two_panels_for_each_setting(swept, tmp_path):
    plot = tmp_path / "sweep.svg"
    plot_sweep(swept, plot)
    svg = plot.read_text()
    assert svg.count('<g id="axes_') == 2 * len(
        ["base", "index", "rank", "examples", "dpo", "dpo.beta", "base.depth"]
    )
    assert all(f">{name}</text>" in svg for name in ("rank", "base.depth", "not set", "64"))
    assert "held-out loss, nats per token" in svg
    plot_sweep(swept, plot)
    assert plot.read_text() == svg


def test_plot_of_one_system_shows_it_by_name(swept, tmp_path):
    table = pd.read_csv(swept, dtype=str)
    table[table["system"] == "r4"].to_csv(tmp_path / "one.csv", index=False)
    plot_sweep(tmp_path / "one.csv", tmp_path / "one.svg")
    assert ">r4</text>" in (tmp_path / "one.svg").read_text()
