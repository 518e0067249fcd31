"""What a step was run on."""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path


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
    """What nvidia-smi tells of each GPU, as text; empty without it."""
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
