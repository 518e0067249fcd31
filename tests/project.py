"""A copy of the workflow in a folder of its own, and Snakemake run in it as users run it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "config", "envs", "profiles", "resources", "workflow")
TINY = ROOT / "tests" / "config" / "tiny.yaml"
SCRIPTS = "workflow/scripts"
BIG = 1_000_000  # bytes from which a copied project shares a file with the original
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
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def run(self, *arguments, cores=2):
        """The jobs that ran, all of them to their end."""
        status, output = self.snakemake(*arguments, cores=cores)
        assert status == 0, output[-8000:]
        return jobs(output)

    def planned(self, *arguments, cores=2):
        """The jobs that would run."""
        return self.run("--dry-run", *arguments, cores=cores)

    def contents(self):
        """{path: bytes} of every job's outputs."""
        paths = [
            path
            for made in (self.folder / "results").rglob("*.provenance.json")
            for path in json.loads(made.read_text(encoding="utf-8"))["outputs"]
        ]
        return {path: (self.folder / path).read_bytes() for path in paths}

    def edit(self, path, old, new):
        """Replace text that is there once."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new), encoding="utf-8")
        return self
