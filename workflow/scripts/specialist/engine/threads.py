"""How the threads of a step wait for each other."""

import os

BUSY = 0.3  # the machine is busy if other processes use more cores than this
LOOK = 0.3  # seconds


def settle(threads):
    """Let OpenMP's threads sleep at barriers if other processes use the cores.

    A spinning thread reacts at once. But if another process wants its core, it delays the thread
    that all others wait for. Sleeping threads are slower on a quiet machine and faster on a busy
    one; `python tests/bench_threads.py` measures both. The user's OMP_WAIT_POLICY wins.

    Args:
        threads: of the step. OpenMP reads the variable when torch loads it.
    """
    import psutil

    if threads < 2 or "OMP_WAIT_POLICY" in os.environ:
        return
    if psutil.cpu_percent(LOOK) / 100 * os.cpu_count() > BUSY:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        print("other processes use the cores: threads sleep while they wait")
