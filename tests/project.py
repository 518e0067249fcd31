"""A copy of the workflow in a folder of its own, and Snakemake run in it as users run it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from specialist.engine import records

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("LICENSE", "Snakefile", "config", "envs", "profiles", "resources", "workflow")
TINY = ROOT / "tests" / "config" / "tiny.yaml"
SCRIPTS = "workflow/scripts"
BIG = 1_000_000  # bytes from which a copied project shares a file with the original
# Random ids, times, speeds.
DIFFERS = ("chroma.zip", "times.jsonl", "summary.md", "report.html")
TIMES = (
    "times", "speed", "tokens_per_second", "latency_s", "speedup_over_f16", "ms_p50", "ms_p95",
)  # fmt: skip
JOB = re.compile(r"^(?:local)?rule (\S+):\n((?: {4}.*\n)*)", re.MULTILINE)


def jobs(output):
    """The jobs that a run, or a dry run, says it runs.

    Returns:
        set of texts, each a rule and the values of its wildcards without the dataset's, for
        example "quantize lora-r16 Q4_K_M".
    """
    found = set()
    for rule, details in JOB.findall(output):
        wildcards = re.search(r"^ +wildcards: (.*)$", details, re.MULTILINE)
        pairs = [pair.split("=", 1) for pair in wildcards[1].split(", ")] if wildcards else []
        found.add(" ".join([rule, *(value for name, value in pairs if name != "dataset")]))
    return found - {"all"}


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(part) for key, part in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [without_times(part) for part in value]
    return value


def link_or_copy(source, target):
    """Copy a file with its times; a big one, which no step changes in place, is linked."""
    if os.path.getsize(source) < BIG:
        return shutil.copy2(source, target)
    return os.link(source, target)


class Project:
    """A folder that holds what a clone of the repository holds.

    Args:
        folder: where it is.
        overlays: configuration files that are laid over config/config.yaml, in this order.
    """

    def __init__(self, folder, *overlays):
        self.folder, self.overlays = folder, list(overlays)
        self.env = {}  # environment variables of its runs, beside those of the tests

    @classmethod
    def new(cls, folder, *overlays):
        """A project in which nothing has run yet."""
        folder.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            source, target = ROOT / part, folder / part
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, target)
        return cls(folder, *overlays)

    def copy(self, folder):
        """A project with the same files, all that has run included."""
        shutil.copytree(self.folder, folder, copy_function=link_or_copy)
        return type(self)(folder, *self.overlays)

    def overlay(self, **values):
        """Lay more values over the configuration."""
        path = self.folder / f"overlay-{len(self.overlays)}.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        self.overlays.append(path)
        return self

    def command(self, *arguments, cores=2):
        """The command that runs Snakemake."""
        command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]
        return [*command, *self._config()]

    def snakemake(self, *arguments, cores=2):
        """Run Snakemake; returns its exit status and all that it said."""
        return self._python(*self.command(*arguments, cores=cores)[1:])

    def plan(self, *arguments):
        """What the plan of a run says; the arguments are those of Snakemake."""
        status, output = self._python(f"{SCRIPTS}/show_plan.py", *arguments, *self._config())
        assert status == 0, output[-8000:]
        return output

    def verify(self, *files):
        """Verify what stands behind a result; returns the exit status and what it said."""
        return self._python(f"{SCRIPTS}/verify.py", *files)

    def _config(self):
        return ["--configfile", *map(str, self.overlays)] if self.overlays else []

    def _python(self, *arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=os.environ | self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def run(self, *arguments, cores=2):
        """The jobs that ran, all of them to their end."""
        before = self.logs()
        status, output = self.snakemake(*arguments, cores=cores)
        assert status == 0, output[-8000:]
        written = self.logs() - before  # of this run; a dry run writes none
        return jobs("".join(path.read_text(encoding="utf-8") for path in written) or output)

    def logs(self):
        """Paths of Snakemake's own logs, which tell all about each job."""
        return set((self.folder / ".snakemake/log").glob("*.log"))

    def planned(self, *arguments, cores=2):
        """The jobs that would run."""
        return self.run("--dry-run", *arguments, cores=cores)

    def outputs(self, folder="results"):
        """Paths of every job's outputs that are there, of those below a folder of results/."""
        made = filter(None, map(records.read, (self.folder / folder).rglob("*.provenance.json")))
        paths = {path for record in made for path in record["outputs"]}
        return {path for path in paths if (self.folder / path).is_file()}

    def contents(self):
        """{path: bytes} of every job's outputs."""
        return {path: (self.folder / path).read_bytes() for path in self.outputs()}

    def comparable(self):
        """{path: what must be the same whenever it is made from the same}"""
        return {
            path: without_times(json.loads(data)) if path.endswith(".json") else data
            for path, data in self.contents().items()
            if not path.endswith(DIFFERS) and "/costs/" not in path
        }

    def written(self):
        """{path of a job's provenance: when it was written, in nanoseconds}"""
        paths = (self.folder / "results").rglob("*.provenance.json")
        return {path: path.stat().st_mtime_ns for path in paths}

    def since(self, written):
        """Provenance of the jobs that ended after `written` was asked for, as dicts."""
        now = self.written()
        found = [records.read(path) for path in now if now[path] != written.get(path)]
        return [record for record in found if record]

    def worked(self, written):
        """The jobs that computed since `written` was asked for, named as by `jobs`."""
        made = [record for record in self.since(written) if not record.get("restored")]
        named = [{**record["wildcards"], "dataset": record["rule"]} for record in made]
        return {" ".join([names.pop("dataset"), *names.values()]) for names in named}

    def edit(self, path, old, new):
        """Replace text that is there once."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new), encoding="utf-8")
        return self
