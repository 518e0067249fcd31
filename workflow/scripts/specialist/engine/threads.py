"""How the threads of a step wait for each other."""

import os

BUSY = 0.3  # cores that other processes use, from which on the machine counts as busy
LOOK = 0.3  # seconds


def settle(threads):
    """Let OpenMP's threads sleep at barriers if other processes use the cores.

    A spinning thread reacts at once, but takes the core from the thread that all others wait for as
    soon as another process wants it. A pretraining step of the default base on two cores took
    362 ms with spinning and 494 ms with sleeping threads on a quiet machine, and 1,378 ms and
    661 ms beside one busy process. `python tests/bench_threads.py` measures both. OMP_WAIT_POLICY
    of the user wins.

    Args:
        threads: of the step. OpenMP reads the variable when torch loads it.
    """
    import psutil

    if threads < 2 or "OMP_WAIT_POLICY" in os.environ:
        return
    if psutil.cpu_percent(LOOK) / 100 * os.cpu_count() > BUSY:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        print("other processes use the cores: threads sleep while they wait")
