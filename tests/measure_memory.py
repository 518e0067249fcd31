"""Measures what stages need of memory on models of real shapes, beside what was estimated.

    python tests/measure_memory.py 0.5B --stages train_lora merge_lora convert_gguf quantize

makes the model with random weights in a folder of its own, runs each stage in a process of its
own, and removes everything: each file when no later stage reads it. It prints a table in Markdown.
"Own" is memory that the process has for itself; the pages of files that it maps come on top, and
are given back when memory is short. Merging, conversion and quantisation have one layer in memory
at a time, so `7B --layers 2` needs as much as 7B, and a tenth of the time and disk.
"""

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow/scripts"
FOLDERS = (SCRIPTS, SCRIPTS / "adapt", SCRIPTS / "gguf", ROOT / "tests", ROOT / "tests/unit")
sys.path[:0] = map(str, FOLDERS)

import random_models  # noqa: E402
from specialist.preflight import architecture, needs  # noqa: E402

STAGES = ("train_lora", "merge_lora", "convert_gguf", "quantize")
WORDS = "Where is my order? It is late. "


def measured(folder, stage, options):
    """Run a stage in a process of its own: seconds, and GB in all and of its own at the most."""
    command = [sys.executable, __file__, "--within", str(folder), "--stages", stage, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def watch(run):
    """Call `run`; what it took."""
    from specialist.core.hardware import peak_memory_mb

    most, ended, begin = [0], threading.Event(), time.perf_counter()

    def look():
        while not ended.wait(0.02):
            status = Path("/proc/self/status").read_text()
            own = int(status.partition("RssAnon:")[2].split()[0]) * 1024
            most[0] = max(most[0], own)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        run()
    finally:
        ended.set()
        thread.join()
    return {
        "seconds": time.perf_counter() - begin,
        "peak_gb": peak_memory_mb() / 1e3,
        "own_gb": most[0] / 1e9,
    }


def paths(folder):
    base, adapter, merged = folder / "base", folder / "adapter", folder / "merged"
    files = {name: base / f"{name}.json" for name in ("config", "tokenizer", "tokenizer_config")}
    return files | {
        "model": base / "model.safetensors",
        "chat_template": base / "chat_template.jinja",
        "adapter": adapter / "adapter_model.safetensors",
        "adapter_config": adapter / "adapter_config.json",
        "merged": merged / "model.safetensors",
        "merged_config": merged / "config.json",
        "conversations": folder / "rows.jsonl",
        "held_out": folder / "few.jsonl",
        "system_prompt": folder / "system.txt",
        "text": folder / "text.jsonl",
    }


def prepare(folder, name, layers, entry, steps):
    """Make the model and what the stages read: conversations as long as `max_length` allows."""
    random_models.save(folder / "base", name, layers)
    files = paths(folder)
    files["merged"].parent.mkdir()
    files["system_prompt"].write_text("Help.")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    ids = tokenizer(WORDS * entry["max_length"], add_special_tokens=False)["input_ids"]
    answer = tokenizer.decode(ids[: entry["max_length"] - 40])
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": answer}]
    row = json.dumps({"messages": messages}) + "\n"
    rows = entry["batch_size"] * entry["gradient_accumulation"] * steps
    files["conversations"].write_text(row * rows)
    files["held_out"].write_text(row)
    files["text"].write_text(json.dumps({"text": WORDS * 20}) + "\n")


def stage(folder, name, entry, kind, threads):
    """A function without arguments that does a stage on the model of a folder."""
    files = paths(folder)
    own = {
        "figures": folder / "figures.json", "masks": folder / "masks.txt",
        "curve": folder / "loss.csv", "gate": folder / "gate.json", "gguf": folder / "f16.gguf",
        "name": "random", "threads": threads, "checkpoints": None, "sentencepiece": [],
        "pretraining_tokens": [],
        "settings": SimpleNamespace(**entry),
    }  # fmt: skip
    if name == "train_lora":
        from train_lora import train_lora as run

        from specialist.engine.checkpoints import Checkpoints
        from specialist.engine.tracking import Tracking

        own["checkpoints"] = Checkpoints(folder / "checkpoints", 1e9)
        own["tracking"] = Tracking()
        files["adapter"].parent.mkdir(exist_ok=True)
    elif name == "merge_lora":
        from merge_lora import merge_lora as run
    elif name == "convert_gguf":
        from convert_gguf import convert_gguf as run

        files |= {"model": files["merged"], "config": files["merged_config"]}
    else:
        from quantize import quantize as run

        own |= {"f16": folder / "f16.gguf", "gguf": folder / f"{kind}.gguf", "imatrix": []}
        own["settings"] = SimpleNamespace(type=kind, strict=False)
    given = {**entry, **files, **own}
    return lambda: run(**{key: given[key] for key in inspect.signature(run).parameters})


def estimate(model, name, entry, kind):
    """The `specialist.preflight.needs.Need` of a stage."""
    if name == "train_lora":
        return needs.finetuning(model, entry, gpu=False, bf16=True, rows=1)
    if name == "merge_lora":
        return needs.merging(model, entry["method"])
    if name == "convert_gguf":
        return needs.conversion(model)
    return needs.quantization(model, needs.bits_of(kind))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", nargs="?", choices=random_models.CONFIGS)
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    parser.add_argument("--folder", help="where the models lie; the system's temporary folder")
    parser.add_argument("--layers", type=int, help="in place of the model's own number")
    parser.add_argument("--method", default="lora")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--sequence", type=int, default=128)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--quantization", default="Q4_K_M")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--within", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    from specialist.config.settings.adapters import LoraTraining

    entry = LoraTraining(
        batch_size=given.batch, max_length=given.sequence, epochs=1, gradient_accumulation=1,
        method=given.method, seed=1,
    ).model_dump() | {"precision": "bf16"}  # fmt: skip
    if given.within:
        [name] = given.stages
        print(
            json.dumps(watch(stage(given.within, name, entry, given.quantization, given.threads)))
        )
        return
    options = [
        f"--{key}={getattr(given, key)}"
        for key in ("method", "batch", "sequence", "quantization", "threads")
    ]
    print("| model | stage | estimated, GB | own, GB | with mapped files, GB | seconds |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        folder = Path(made)
        prepare(folder, given.shape, given.layers, entry, given.steps)
        model = architecture.read(json.loads((folder / "base/config.json").read_text()))
        if "train_lora" not in given.stages:
            random_models.save_adapter(folder / "adapter", folder / "base")
        shown = given.shape + (f", {given.layers} layers" if given.layers else "")
        shown += f", {given.method}" if given.method != "lora" else ""
        for name in given.stages:
            found = measured(folder, name, options)
            expected = estimate(model, name, entry, given.quantization)
            print(
                f"| {shown} | {name} | {expected.ram / 1e9:.2f} | {found['own_gb']:.2f} | "
                f"{found['peak_gb']:.2f} | {found['seconds']:.0f} |",
                flush=True,
            )
            if name == "merge_lora":
                (folder / "base/model.safetensors").unlink()
            if name == "convert_gguf":
                paths(folder)["merged"].unlink()


if __name__ == "__main__":
    main()
