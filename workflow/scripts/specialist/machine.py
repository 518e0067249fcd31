"""What this machine has for a run."""

import contextlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from specialist.precision import FEATURES

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Machine:
    """What is there, in bytes; `vram` is 0 without a GPU. `bf16`: `auto` precision takes it."""

    ram: float
    vram: float
    disk: float
    bf16: bool


def look(folder="."):
    """The `Machine` that this runs on, with the room that is free for a folder."""
    import psutil

    ram = psutil.virtual_memory().total
    for path in map(Path, LIMITS):  # those of a container
        with contextlib.suppress(OSError, ValueError):
            ram = min(ram, int(path.read_text()))
    vram = 0.0
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        told = subprocess.run(query, capture_output=True, text=True).stdout.split()
        vram = max((int(size) * 2.0**20 for size in told if size.isdigit()), default=0.0)
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text()
        bf16 = bool(vram) or any(feature in flags for feature in FEATURES)
        return Machine(ram, vram, shutil.disk_usage(folder).free, bf16)
    return Machine(ram, vram, shutil.disk_usage(folder).free, bool(vram))


def describe():
    """This machine in words: processor, cpus, memory_gb and system."""
    import os
    import platform

    import psutil

    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = next(iter(named), processor)
    return {
        "processor": processor,
        "cpus": os.cpu_count(),
        "memory_gb": psutil.virtual_memory().total / 1e9,
        "system": platform.system(),
    }
