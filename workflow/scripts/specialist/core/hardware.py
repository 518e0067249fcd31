"""The software and hardware of a step."""

import contextlib
import functools
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"  # GPUs that a process may use; empty: none
TRACKED_PACKAGES = [
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasets",
    "tokenizers",
    "gguf",
    "bitsandbytes",
    "llama-cpp-python",
    "chromadb",
    "sentence-transformers",
    "pandas",
    "numpy",
    "rensa",
    "snakemake",
]


def machine():
    """Versions of Python and of the relevant packages, and the hardware."""
    versions = {}
    for name in TRACKED_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "python": platform.python_version(),
        "packages": versions,
        "hardware": describe(),
    }


@functools.cache
def identity():
    """The hardware that determines speed: processor, cpus, system and gpus.

    Memory is left out: what a system reports of it changes a little from start to start.
    """
    found = describe()
    del found["memory_gb"]
    return found


@functools.cache
def has_bf16():
    """Whether `precision: auto` computes in bf16 here, found without importing torch."""
    from specialist.core.precision import FEATURES

    hidden = os.environ.get(VISIBLE) == ""
    if not hidden and (capability := gpus("compute_cap")):
        return float(capability[0]) >= 8  # Ampere is the first generation with bf16
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text()
        return any(feature in flags for feature in FEATURES)
    return False


def describe():
    """This machine in words: processor, cpus, memory_gb, system and gpus (a list of names)."""
    import psutil

    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = next(iter(named), processor)
    return {
        "processor": processor,
        "cpus": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.system(),
        "gpus": gpus("name"),
    }


def gpus(key):
    """nvidia-smi's text about each GPU; empty without nvidia-smi."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", f"--query-gpu={key}", "--format=csv,noheader,nounits"]
    told = subprocess.run(query, capture_output=True, text=True).stdout
    return [line.strip() for line in told.splitlines() if line.strip()]


def peak_memory_mb():
    """Largest resident size of this process so far, in MB (10**6 bytes)."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)
