"""The table of a sweep takes the figures of every adapter that the systems use."""

from project import TINY, Project

SWEEP = {
    "adapters": {
        "r3": {"base": "small", "rank": 3},
        "preferring": {"base": "small", "rank": 3, "dpo": {}},
    },
    "systems": {
        "r3": {"adapter": "r3", "quantization": "Q4_K_M", "index": "minilm"},
        "preferring": {"adapter": "preferring", "quantization": "F16"},
    },
}


def test_a_sweep_runs_the_main_job_and_no_more(tmp_path):
    project = Project.new(tmp_path, TINY).overlay(**SWEEP)
    swept = project.planned("results/sweep.svg")
    assert {"train_lora r3", "train_dpo preferring", "run_agent r3"} <= swept
    assert swept - project.planned("results/agent_eval.json") == {"collect_sweep", "plot_sweep"}
