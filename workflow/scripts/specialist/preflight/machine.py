"""Memory and disk of this machine."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from specialist.core.hardware import gpus
from specialist.core.precision import FEATURES

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Machine:
    """The memory and disk in bytes; `vram` is 0 without a GPU. `bf16`: `auto` precision uses it."""

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
    sizes = [int(size) for size in gpus("memory.total") if size.isdigit()]
    vram = max(sizes, default=0) * 2.0**20
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text()
        bf16 = bool(vram) or any(feature in flags for feature in FEATURES)
        return Machine(ram, vram, shutil.disk_usage(folder).free, bf16)
    return Machine(ram, vram, shutil.disk_usage(folder).free, bool(vram))
