"""The Containerfile copies files that exist, and builds what the Makefile builds.

No image is built here: this needs a container engine and a registry.
"""

import re
import subprocess

import pytest
import yaml

from project import ROOT

TEXT = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", "")
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]


def arguments(instruction):
    """The arguments of all instructions of a kind, without options."""
    found = [line.split() for line in LINES if line.startswith(f"{instruction} ")]
    return [[word for word in words[1:] if not word.startswith("--")] for words in found]


def test_instructions_are_known():
    known = {"FROM", "RUN", "USER", "WORKDIR", "COPY", "ENV"}
    assert {line.split()[0] for line in LINES} == known


def test_copied_files_exist():
    here = [line.split() for line in LINES if line.startswith("COPY") and "--from=" not in line]
    copied = [words[2] for words in here]
    assert {"Makefile", "envs"} <= set(copied)
    assert all((ROOT / path).exists() for path in copied)


def test_make_needs_only_what_is_copied(tmp_path):
    """`make setup` plans its commands in a folder with the copied files alone."""
    for path in ("Makefile", "envs"):
        (tmp_path / path).symlink_to(ROOT / path)
    done = subprocess.run(
        ["make", "--dry-run", "setup"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    named = set(re.findall(r"envs/[\w.-]+", done.stdout))
    assert {"envs/train.txt", "envs/gguf.txt", "envs/llama-cpp.cmake"} <= named
    assert all((ROOT / path).is_file() for path in named)


def test_environment_is_built_as_the_makefile_does():
    commands = [" ".join(words) for words in arguments("RUN")]
    assert "make setup" in commands
    pins = [name for command in commands for name in re.findall(r"envs/[\w.-]+\.txt", command)]
    assert pins and all((ROOT / path).is_file() for path in pins)


def test_both_stages_are_the_same_system_without_root():
    bases = [words[0] for words in arguments("FROM")]
    assert len(bases) == 2 and len(set(bases)) == 1
    assert TEXT.split("FROM")[-1].count("USER specialist") == 1


@pytest.mark.parametrize("name", ["kubernetes", "slurm", "gpu"])
def test_profile_repeats_the_default_profile(name):
    """Snakemake loads one profile alone."""
    default, other = (
        yaml.safe_load((ROOT / f"profiles/{profile}/config.yaml").read_text(encoding="utf-8"))
        for profile in ("default", name)
    )
    assert {key: other.get(key) for key in default if key[0] != "_"} == {
        key: value for key, value in default.items() if key[0] != "_"
    }
