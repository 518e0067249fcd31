"""Measures what OMP_WAIT_POLICY costs and saves: `python tests/bench_threads.py`.

A step computes with several threads that wait for each other at barriers, hundreds of times a
second. Beside other work a thread that spins there holds the core that the last thread needs.
This runs matrix products of a training step, and llama.cpp's generation if a GGUF is named, with
each policy, on a quiet machine and beside busy processes, and prints a table in Markdown. Nothing
else should run meanwhile.

    python tests/bench_threads.py --busy 0 1 4 --gguf results/food-delivery/gguf/lora-r16/F16.gguf
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow/scripts"
POLICIES = {
    "spinning (ACTIVE)": {"OMP_WAIT_POLICY": "ACTIVE"},
    "the default of OpenMP": {},
    "sleeping (PASSIVE)": {"OMP_WAIT_POLICY": "PASSIVE"},
    "a short spin, then sleeping": {"GOMP_SPINCOUNT": "5000"},
}
SPIN = "while True: pass"


def products(threads, repeats, size):
    """Seconds of each of some passes forward and back through two layers."""
    import torch

    torch.set_num_threads(threads)
    model = torch.nn.Sequential(
        torch.nn.Linear(size, 3 * size), torch.nn.SiLU(), torch.nn.Linear(3 * size, size)
    )
    rows, taken = torch.randn(4 * 376, size), []
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in range(4):
            model(rows).square().mean().backward()
        taken.append(time.perf_counter() - begin)
    return taken


def generation(threads, repeats, gguf):
    """Seconds of each of some generations of 32 tokens after a prompt of 128."""
    from specialist.gguf.runtime import Runtime

    with Runtime(gguf, 256, threads) as model:
        ids = list(range(10, 170))
        return [sum(model.time(ids[:128], ids[128:])) for _ in range(repeats)]


@contextlib.contextmanager
def beside(busy):
    """Run a block beside processes that do nothing but compute."""
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(busy)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measured(given, work, policy):
    """Median seconds of one kind of work under a policy, in a process of its own."""
    command = [sys.executable, __file__, "--within", work, "--threads", str(given.threads)]
    command += ["--repeats", str(given.repeats), "--size", str(given.size)]
    command += ["--gguf", given.gguf] if given.gguf else []
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {"PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": str(given.threads)} | policy
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return statistics.median(map(float, done.stdout.split()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1], help="processes beside")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--size", type=int, default=576, help="width of the layers")
    parser.add_argument("--gguf", help="a model for llama.cpp")
    parser.add_argument("--within", choices=["products", "generation"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.within == "products":
        print(*products(given.threads, given.repeats, given.size))
        return
    if given.within == "generation":
        print(*generation(given.threads, given.repeats, given.gguf))
        return
    print(f"{given.threads} threads, median of {given.repeats}\n")
    print(
        "| work | busy processes beside | " + " | ".join(f"{name}, s" for name in POLICIES) + " |"
    )
    print("| --- | ---: |" + " ---: |" * len(POLICIES))
    for work in ["products", *(["generation"] if given.gguf else [])]:
        for busy in given.busy:
            with beside(busy):
                found = [measured(given, work, policy) for policy in POLICIES.values()]
            cells = " | ".join(f"{seconds:.3f}" for seconds in found)
            print(f"| {work} | {busy} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
