"""Measures steps of LoRA on a processor: tokens per second, by what they compute with.

    python tests/bench_lora.py --sequence 376

makes a model of random weights and times steps of each variant in turns, so that other load on the
machine affects all of them equally: the base in fp32 or bf16, the logits of all tokens that carry
loss at once or in parts. It prints a table in Markdown. `tests/measure_memory.py 135M` measures the
memory.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "tests"), str(ROOT / "tests/unit")]

import random_models  # noqa: E402

VARIANTS = {
    "base in fp32, logits at once": (True, False),
    "base in bf16, logits at once": (False, False),
    "base in bf16, logits in parts": (False, True),
}
CARRYING = 0.4  # share of the tokens that carry loss


def model_of(folder, wide, given):
    """A base with an adapter, in fp32 if `wide`."""
    import peft

    from specialist.train.adapters import load_base, peft_config
    from specialist.train.attention import implementation

    base = load_base(folder, attention=implementation("bf16"), precision="bf16")
    settings = peft_config(
        "lora", rank=given.rank, alpha=2 * given.rank, dropout=0.0, target_modules="all-linear"
    )
    return peft.get_peft_model(base.float() if wide else base, settings).train()


def step_of(model, parts, given):
    """A function that takes an optimizer step on random tokens."""
    import torch

    from specialist.train.finetuning import carried
    from specialist.train.loss import carried_loss

    ids = torch.randint(0, model.config.vocab_size, (given.batch, given.sequence))
    carries = torch.rand(given.batch, given.sequence - 1) < CARRYING
    targets = ids[:, 1:][carries]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)

    def step():
        with torch.autocast("cpu", torch.bfloat16):
            if parts:
                loss = carried_loss(model, carries, targets, input_ids=ids)
            else:
                logits = carried(model, carries, input_ids=ids).logits.float()
                loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
        (loss / len(targets)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="135M", choices=random_models.CONFIGS)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--sequence", type=int, default=512)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as made:
        folder = random_models.save(Path(made), given.shape)
        steps = {
            name: step_of(model_of(folder, wide, given), parts, given)
            for name, (wide, parts) in VARIANTS.items()
        }
    seconds = {name: [] for name in steps}
    for number in range(1 + given.rounds):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            if number:  # the first warms caches up
                seconds[name].append(time.perf_counter() - begin)
    print("| variant | tokens/s |\n| --- | ---: |")
    for name, times in seconds.items():
        print(f"| {name} | {given.batch * given.sequence / median(times):.0f} |", flush=True)


if __name__ == "__main__":
    main()
