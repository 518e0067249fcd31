"""Computes what the stages cost at 10, 100 and 1,000 times the default: docs/scale.md.

    python tests/bench_scale.py

It reads time and memory of the default run in results/ and prints tables. Nothing runs. Times grow
with the work that `specialist.preflight.work` counts; starts and imports do not grow. Memory is
what `make plan` estimates.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow/scripts")]

from specialist.config.load import load  # noqa: E402
from specialist.core.text import read_rows  # noqa: E402
from specialist.preflight.check import Preflight  # noqa: E402
from specialist.preflight.machine import look  # noqa: E402
from specialist.preflight.work import BESIDES  # noqa: E402
from specialist.report.numbers import duration, number  # noqa: E402

TIMES = (1, 10, 100, 1000)
# Stage -> (rules, what their work grows with).
STAGES = {
    "simulate and check the data": (
        ("simulate_", "prepare_", "audit_leakage", "train_tokenizer", "tokenize_corpus"), "data"),
    "pretrain": (("pretrain",), "layers"),
    "train_lora": (("train_lora",), "passes"),
    "merge, convert, quantise, measure": (
        ("merge_lora", "convert_gguf", "quantize", "measure_gguf", "render_text"), "weights"),
    "index": (("chunk_kb", "embed_chunks", "build_", "learn_queries", "measure_retrieval"), "data"),
    "run and score one system": (("run_agent/{}", "score/{}"), "passes"),
}  # fmt: skip
DEPTHS = {1: 4, 10: 10, 100: 21, 1000: 45}  # whose models are about as many times the default's
SIZED = {
    "pretrain": {"base": "small"}, "train_lora": {"adapter": "lora-r16"},
    "merge_lora": {"adapter": "lora-r16"}, "convert_gguf": {"model": "lora-r16"},
    "run_agent": {"system": "lora-f16"},
}  # fmt: skip
RATE = 60  # seconds between two messages of a user


def costs(folder, system):
    """{stage: (constant seconds, seconds of work)} of a run."""
    found = {}
    for stage, (rules, _) in STAGES.items():
        fixed = work = 0.0
        for path in sorted(folder.rglob("*.json")):
            name = path.relative_to(folder).with_suffix("").as_posix()
            if any(_is_of(name, rule, system) for rule in rules):
                cost = json.loads(path.read_text(encoding="utf-8"))
                fixed += cost["start_s"] + cost["import_s"]
                work += cost["compute_s"]
        found[stage] = fixed, work
    return found


def _is_of(name, rule, system):
    return name == rule.format(system) if "{}" in rule else name.startswith(rule)


def models(config):
    """{times: (`Architecture`, {rule: bytes of memory})} of a base of each depth."""
    found = {}
    for times, depth in DEPTHS.items():
        config["bases"]["small"]["depth"] = depth
        estimates = Preflight(config, look())
        need = {
            rule: estimates.stages([(rule, names)])[0].need.ram for rule, names in SIZED.items()
        }
        found[times] = estimates.model({"base": "small"}), need
    return found


def factor(kind, times, sizes):
    """How many times the work of a stage is that of the default, with a larger model."""
    model, default = sizes[times][0], sizes[1][0]
    return {
        "data": 1,
        "layers": model.linear / default.linear,
        "passes": (model.parameters + BESIDES) / (default.parameters + BESIDES),
        "weights": model.parameters / default.parameters,
    }[kind]


def table(head, rows):
    print(f"\n| {' | '.join(head)} |\n| --- |{(len(head) - 1) * ' ---: |'}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def spell(seconds):
    return f"{number(seconds / 86400)} days" if seconds > 2 * 86400 else duration(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="of the default run")
    given = parser.parse_args()
    config = load(yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8")))
    system, folder = config["headline"], given.results / config["dataset"]
    spent, sizes = costs(folder / "costs", system), models(config)
    head = ("Stage", "measured", *(f"{times:,} x" for times in TIMES[1:]))
    # The steps on a model see more tokens; those after training read the same model.
    grows = {name: kind != "weights" for name, (_, kind) in STAGES.items()}
    table(head, [
        (name, *(spell(fixed + (times if grows[name] else 1) * work) for times in TIMES))
        for name, (fixed, work) in spent.items()
    ])  # fmt: skip
    table(("Weights", *(f"{sizes[times][0].parameters / 1e6:,.0f} M" for times in TIMES)), [
        *((name, *(spell(fixed + factor(STAGES[name][1], times, sizes) * work) for times in TIMES))
          for name, (fixed, work) in spent.items()),
        *((f"memory of {rule}", *(f"{sizes[times][1][rule] / 1e9:.1f} GB" for times in TIMES))
          for rule in SIZED),
    ])  # fmt: skip
    cost = json.loads((folder / f"costs/run_agent/{system}.json").read_text(encoding="utf-8"))
    traces = read_rows(folder / f"agent/{system}/traces.jsonl")
    messages = sum(len(row["exchanges"]) for row in traces)
    mean = cost["compute_s"] * cost["threads"] / messages
    print(f"\nseconds for a message: {mean:.3f} ({messages} messages of {system}), on one core")
    users = [times for times in TIMES if times > 1]
    table(("Users", *map(str, users)), [
        (f"processes, {number(sizes[times][0].parameters / 1e6)} M weights", *(
            str(math.ceil(count / RATE * mean * factor("passes", times, sizes) / 0.7))
            for count in users)) for times in (1, 10, 100)
    ])  # fmt: skip


if __name__ == "__main__":
    main()
