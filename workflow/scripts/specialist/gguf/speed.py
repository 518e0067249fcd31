"""Memory and speed of one model, in its own process: `python -m specialist.gguf.speed`."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROMPT, GENERATED = 128, 32  # tokens of a round that is timed


def measure(path, rounds, threads):
    """Memory and speed of a model while it generates, in a fresh process.

    Args:
        path: GGUF.
        rounds: how often speed is taken, after one round that is not counted.
        threads: CPU threads.

    Returns:
        dict: resident_mb (the most memory of the process, the pages of the file that were read
        among it, in 10**6 bytes), and, a list of one number for each round, tokens_per_second
        and prompt_tokens_per_second.
    """
    command = [sys.executable, "-m", "specialist.gguf.speed", path, rounds, threads]
    scripts = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*map(str, command)], stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(scripts)},
    )  # fmt: skip
    return json.loads(done.stdout)


def _measure(path, rounds, threads):
    from specialist.core.hardware import peak_memory_mb
    from specialist.gguf.runtime import Runtime

    with Runtime(path, PROMPT + GENERATED, threads) as model:
        ids = [1 + number % (model.vocabulary - 1) for number in range(PROMPT + GENERATED)]
        times = [model.time(ids[:PROMPT], ids[PROMPT:]) for _ in range(1 + rounds)][1:]
        resident = peak_memory_mb()
    return {
        "resident_mb": resident,
        "tokens_per_second": [GENERATED / seconds for _, seconds in times],
        "prompt_tokens_per_second": [PROMPT / seconds for seconds, _ in times],
    }


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
