"""Measures the engine with large numbers: `python tests/bench_engine.py`.

It makes a project with many configured adapters, many records in results/ and a cache with many
entries, all of them small, and prints in seconds what each takes beside a bare
`snakemake --version`:

    cache: index       the index made from the entries on the disk, as after its loss
    cache: store       one more entry, with the check of the cache's size
    cache: costs       what a script took the last time
    cache: prune       the half of all entries removed
    snakemake, no-op   `snakemake --dry-run` of a target that is there
    plan               `show_plan.py` of the same target
    main job, dry run  `snakemake --dry-run` of results/agent_eval.json, where nothing ran yet

The adapters are laid over the configuration as JSON: Snakemake reads YAML with a parser in Python,
which alone takes 2 s for 10,000 entries. The folder is removed at the end. 100,000 entries take
400,000 files, and some minutes to make.

    python tests/bench_engine.py --entries 1000 --records 1000 --adapters 100
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "tests"), str(ROOT / "tests/unit")]

from project import SCRIPTS, TINY, Project  # noqa: E402
from specialist.engine.cache import Cache  # noqa: E402
from specialist.engine.cache_entry import MANIFEST  # noqa: E402
from tiny_record import record  # noqa: E402

TARGET = "results/food-delivery/data/tools.yaml"


def seconds(work):
    """Seconds that a function takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def fill_cache(folder, entries):
    """Write entries as the cache does, without its index and without flushing them."""
    for number in range(entries):
        key = f"{number % 256:02x}{number:062x}"
        entry = folder / key[:2] / key
        entry.mkdir(parents=True)
        (entry / "0").write_text(str(number))
        made = record(f"rule_{number % 40}", outputs={f"results/{number}": 64 * "0"})
        manifest = {"sha256": [64 * "0"], "provenance": made}
        (entry / MANIFEST).write_text(json.dumps(manifest))


def fill_results(folder, records):
    """Write records of jobs that made a file each."""
    for number in range(records):
        path = folder / "results/food-delivery/adapter" / f"old-{number}" / "model.bin"
        path.parent.mkdir(parents=True)
        path.write_text(str(number))
        outputs = {str(path.relative_to(folder)): 64 * "0"}
        path.with_name("model.bin.provenance.json").write_text(json.dumps(record(outputs=outputs)))


def measure_cache(folder, entries):
    """Yield (name, seconds) of the cache's own work."""
    cache, made = Cache(folder / "cache", max_gb=100), folder / "made.txt"
    made.write_text("made")
    fill_cache(cache.folder, entries)
    yield "cache: index", seconds(lambda: cache.rows())
    stored = {str(made): 64 * "0"}
    yield "cache: store", seconds(lambda: cache.store(64 * "f", stored, record()))
    yield "cache: costs", seconds(lambda: cache.costs("rule_1.py"))
    half = cache.index.size() / 2
    yield "cache: prune", seconds(lambda: cache.prune(half))


def measure_starts(folder, records, adapters):
    """Yield (name, seconds) of starts of Snakemake that have nothing to do."""
    project = Project.new(folder / "project", TINY)
    entries = {f"a{number}": {"base": "small", "rank": 4} for number in range(adapters)}
    overlay = folder / "adapters.json"
    overlay.write_text(json.dumps({"adapters": entries}))
    project.overlays.append(overlay)
    project.run(TARGET)
    fill_results(project.folder, records)
    plan = [sys.executable, f"{SCRIPTS}/show_plan.py", TARGET, *project._config()]
    commands = {
        "snakemake --version": [sys.executable, "-m", "snakemake", "--version"],
        "snakemake, no-op": project.command("--dry-run", TARGET),
        "plan": plan,
        "main job, dry run": project.command("--dry-run", "results/agent_eval.json"),
    }
    for name, command in commands.items():
        begin = time.perf_counter()
        done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        yield name, time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=100_000, help="of the cache")
    parser.add_argument("--records", type=int, default=100_000, help="in results/")
    parser.add_argument("--adapters", type=int, default=10_000, help="in the configuration")
    parser.add_argument("--folder", help="where to work; the system's temporary folder")
    given = parser.parse_args()
    print(f"{given.entries} entries, {given.records} records, {given.adapters} adapters")
    print("| what | seconds |\n| --- | ---: |")
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        folder = Path(made)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        for name, took in measure_cache(folder, given.entries):
            print(f"| {name} | {took:.2f} |", flush=True)
        for name, took in measure_starts(folder, given.records, given.adapters):
            print(f"| {name} | {took:.2f} |", flush=True)


if __name__ == "__main__":
    main()
