"""Measures the engine with large numbers: `python tests/bench_engine.py`.

It runs the main job of the tests' configuration, adds many adapters to the configuration, many
records to results/ and many entries to a cache, all of them small, and prints the seconds and the
processor seconds that each action takes:

    cache: index         rebuild the index from the entries on the disk, as after its loss
    cache: store         store one more entry, and check the cache's size
    cache: costs         what a script took the last time
    cache: prune         remove half of all entries
    snakemake --version  Snakemake alone
    main job, no-op      `snakemake results/agent_eval.json`, where everything is made
    main job, dry run    `snakemake --dry-run results/agent_eval.json`, where nothing is made
    plan                 `show_plan.py` of the same
    sweep, a tenth       `snakemake --dry-run --batch collect_eval=1/10 results/agent_eval.json`,
                         with as many adapters (`--sweep`), each with a system of its own, where
                         nothing is made
    sweep, dry run       the same without `--batch`

Starts of Snakemake are measured in turns; the table shows the median of three. The adapters are
in a JSON file: Snakemake reads YAML with a parser in Python, which alone takes 2 s for 10,000
entries. The folder is removed at the end. 100,000 entries take 400,000 files, and some minutes to
make.

    python tests/bench_engine.py --entries 1000 --records 1000 --adapters 100
    python tests/bench_engine.py --only sweep --sweep 1000
"""

import argparse
import functools
import json
import resource
import statistics
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

TARGET = "results/agent_eval.json"
TURNS = 3


def measured(work):
    """(seconds, processor seconds) that a function takes, its processes included."""
    begin, before = time.perf_counter(), processor_seconds()
    work()
    return time.perf_counter() - begin, processor_seconds() - before


def processor_seconds():
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


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
    """Yield (name, seconds, processor seconds) of the cache's own work."""
    cache, made = Cache(folder / "cache", max_gb=100), folder / "made.txt"
    made.write_text("made")
    fill_cache(cache.folder, entries)
    yield "cache: index", *measured(lambda: cache.rows())
    stored = {str(made): 64 * "0"}
    yield "cache: store", *measured(lambda: cache.store(64 * "f", stored, record()))
    yield "cache: costs", *measured(lambda: cache.costs("rule_1.py"))
    half = cache.index.size() / 2
    yield "cache: prune", *measured(lambda: cache.prune(half))


def measure_starts(folder, records, adapters):
    """Yield (name, seconds, processor seconds) of starts of Snakemake that run no job."""
    made = Project.new(folder / "made", TINY)
    made.run(TARGET)
    empty = Project.new(folder / "empty", TINY)
    entries = {f"a{number}": {"base": "small", "rank": 4} for number in range(adapters)}
    overlay = folder / "adapters.json"
    overlay.write_text(json.dumps({"adapters": entries}))
    for project in (made, empty):
        project.overlays.append(overlay)
    made.run(TARGET)  # the evaluation holds the configuration
    for project in (made, empty):
        fill_results(project.folder, records)
    plan = [sys.executable, f"{SCRIPTS}/show_plan.py", TARGET, *empty._config()]
    commands = {
        "snakemake --version": (made, [sys.executable, "-m", "snakemake", "--version"]),
        "main job, no-op": (made, made.command(TARGET)),
        "main job, dry run": (empty, empty.command("--dry-run", TARGET)),
        "plan": (empty, plan),
    }
    found = {name: [] for name in commands}
    for _ in range(TURNS):
        for name, (project, command) in commands.items():
            found[name].append(measured(functools.partial(run, command, project.folder)))
    for name, taken in found.items():
        yield name, *map(statistics.median, zip(*taken, strict=True))


def measure_sweep(folder, adapters):
    """Yield (name, seconds, processor seconds) to plan a sweep before any of its steps ran."""
    project = Project.new(folder / "sweep", TINY)
    names = [f"a{number}" for number in range(adapters)]
    overlay = folder / "sweep.json"
    overlay.write_text(
        json.dumps(
            {
                "adapters": {name: {"base": "small", "rank": 4} for name in names},
                "systems": {name: {"adapter": name, "quantization": "F16"} for name in names},
            }
        )
    )
    project.overlays.append(overlay)
    plan = (TARGET, "--dry-run", "--quiet", "all")
    batch = ("--batch", "collect_eval=1/10")
    for name, options in (("a tenth", batch), ("dry run", ())):
        work = functools.partial(run, project.command(*plan, *options), project.folder)
        yield f"sweep of {adapters}, {name}", *measured(work)


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and "\n[1/" not in done.stderr, done.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=100_000, help="of the cache")
    parser.add_argument("--records", type=int, default=100_000, help="in results/")
    parser.add_argument("--adapters", type=int, default=10_000, help="in the configuration")
    parser.add_argument("--sweep", type=int, default=1000, help="adapters that a sweep trains")
    parser.add_argument("--only", choices=["cache", "starts", "sweep"], help="one part of it")
    parser.add_argument("--folder", help="where to work; the system's temporary folder")
    given = parser.parse_args()
    print(f"{given.entries} entries, {given.records} records, {given.adapters} adapters")
    print("| what | seconds | processor seconds |\n| --- | ---: | ---: |")
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        folder = Path(made)
        parts = {
            "cache": (measure_cache, given.entries),
            "starts": (measure_starts, given.records, given.adapters),
            "sweep": (measure_sweep, given.sweep),
        }
        for part in [given.only] if given.only else parts:
            measure, *numbers = parts[part]
            for name, *taken in measure(folder, *numbers):
                print(f"| {name} | {' | '.join(f'{each:.2f}' for each in taken)} |", flush=True)


if __name__ == "__main__":
    main()
