r"""Measures training on a GPU: QLoRA and LoRA in bf16 of a model of seven billion random weights.

    python tests/bench_gpu.py

prints a table in Markdown: tokens in a second, most GPU memory, and model FLOP utilisation, which
counts what the forward pass and the gradients of the activations take (the base is frozen), and
nothing that is computed twice. QLoRA needs bitsandbytes. Without a GPU,

    python tests/bench_gpu.py --shape 0.05B --sequence 32 --batch 1 --accumulation 1 --steps 2 \
        --methods lora

shows that the command works.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "tests"), str(ROOT / "tests/unit")]

import random_models  # noqa: E402

HEAD = """\
| model | method | device | tokens/s | peak GPU memory, GB | model FLOP utilisation |
| --- | --- | --- | ---: | ---: | ---: |"""


def clock():
    """A callback of the trainer that notes in `ends` when each optimizer step ended."""
    import torch
    from transformers import TrainerCallback

    class Callback(TrainerCallback):
        ends = []

        def on_step_end(self, args, state, control, **_):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.ends.append(time.perf_counter())

    return Callback()


def train(folder, method, given):
    """Take `given.steps` optimizer steps; tokens in a second and bytes of GPU memory (or None)."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from trl import SFTConfig

    from specialist.train.adapters import load_base
    from specialist.train.finetuning import trainer_class

    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    step = given.batch * given.accumulation
    rows = torch.randint(0, 500, (step * given.steps, given.sequence)).tolist()
    timed = clock()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = trainer_class()(
            model=load_base(folder, method=method, precision="bf16"),
            args=SFTConfig(
                output_dir=scratch,
                max_length=given.sequence,
                per_device_train_batch_size=given.batch,
                gradient_accumulation_steps=given.accumulation,
                max_steps=given.steps,
                bf16=True,
                gradient_checkpointing=True,
                use_cpu=not gpu,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
            processing_class=AutoTokenizer.from_pretrained(folder),
            train_dataset=Dataset.from_dict({"input_ids": rows, "labels": rows}),
            peft_config=LoraConfig(
                r=given.rank,
                lora_alpha=2 * given.rank,
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            ),
            callbacks=[timed],
        )
        trainer.train()
    # The first step has compilation and warming up in it.
    speed = step * given.sequence * (given.steps - 1) / (timed.ends[-1] - timed.ends[0])
    return speed, torch.cuda.max_memory_reserved() if gpu else None


def utilisation(shape, sequence, speed):
    """Share of the GPU's bf16 peak that the model's own arithmetic took; None if unknown."""
    import torch
    from trl.trainer.utils import compute_flops_per_token, get_peak_flops

    if not torch.cuda.is_available():
        return None
    peak = get_peak_flops(torch.cuda.get_device_name(), "bfloat16")
    # trl counts the gradients of all weights too: three times the forward pass, here two.
    flops = 2 / 3 * compute_flops_per_token(random_models.config(shape), sequence)
    return peak and flops * speed / peak


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="7B", choices=random_models.CONFIGS)
    parser.add_argument("--methods", nargs="+", default=["qlora", "lora"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--accumulation", type=int, default=4)
    parser.add_argument("--sequence", type=int, default=1024)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--folder", help="where the model lies; the system's temporary folder")
    given = parser.parse_args()
    if given.steps < 2:
        parser.error("--steps: the first is not timed, so expected at least 2")
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "processor"
    print(HEAD)
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        folder = random_models.save(Path(made), given.shape)
        for method in given.methods:
            speed, memory = train(folder, method, given)
            used = utilisation(given.shape, given.sequence, speed)
            cells = [
                f"{speed:.0f}",
                f"{memory / 1e9:.1f}" if memory else "none",
                f"{used:.0%}" if used else "unknown",
            ]
            print(f"| {given.shape} | {method} | {device} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
