"""Compares batched decoding with llama.cpp's own `llama-batched-bench`, in turns.

Build the tool from the llama.cpp source inside the pinned llama-cpp-python, so that both run the
same code:

    pip download --no-deps --no-binary :all: llama-cpp-python==VERSION && tar xzf llama_cpp_python-*
    cmake -B build -DLLAMA_CURL=OFF llama_cpp_python-*/vendor/llama.cpp
    cmake --build build --target llama-batched-bench
    python tests/bench_batch.py results/food-delivery/gguf/lora-r16/Q4_K_M.gguf \
        --tool build/bin/llama-batched-bench

Both evaluate a prompt of the same length in each sequence, then generate the same number of tokens.
The figures are tokens generated per second, the best of some rounds.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

from specialist.gguf.batch import Batch
from specialist.gguf.runtime import Runtime

PROMPT, GENERATED = 128, 128


def ours(gguf, sequences, threads):
    """Tokens per second of `Batch`."""
    context = 2 * (PROMPT + GENERATED)
    runtime = Runtime(gguf, context, threads, sequences=sequences + 1)
    with runtime, Batch(runtime, sequences, max_tokens=GENERATED + 1) as batch:
        runtime.ends = lambda token: False  # random prompts may end at once
        for number in range(sequences):
            batch.ask(number, [300 + (7 * i + number) % 2000 for i in range(PROMPT)])
        while any(len(slot.pending) > 1 or not slot.new for slot in batch.slots):
            batch.step()
        begin, before = time.perf_counter(), sum(len(slot.new) for slot in batch.slots)
        while any(slot.pending for slot in batch.slots):
            batch.step()
        made = sum(len(slot.new) for slot in batch.slots) - before
        return made / (time.perf_counter() - begin)


def theirs(tool, gguf, sequences, threads):
    """Tokens per second of llama-batched-bench."""
    command = [tool, "-m", gguf, "-npp", PROMPT, "-ntg", GENERATED, "-npl", sequences]
    command += ["-c", 2 * (PROMPT + GENERATED) * sequences, "-t", threads]
    command += ["--output-format", "jsonl"]
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    rows = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if not rows:
        raise SystemExit(f"{tool} gave no result:\n{run.stderr[-2000:]}")
    return json.loads(rows[-1])["speed_tg"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf")
    parser.add_argument("--tool", required=True, help="llama-batched-bench")
    parser.add_argument("--sequences", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print("| sequences | here, tokens/s | llama-batched-bench, tokens/s | ratio |")
    print("| ---: | ---: | ---: | ---: |")
    for sequences in asked.sequences:
        here, there = [], []
        for _ in range(asked.rounds):
            here.append(ours(asked.gguf, sequences, asked.threads))
            there.append(theirs(asked.tool, asked.gguf, sequences, asked.threads))
        ratio = max(here) / max(there)
        print(f"| {sequences} | {max(here):,.0f} | {max(there):,.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
