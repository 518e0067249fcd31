"""Steps of an adapter with few conversations, without Snakemake."""

from types import SimpleNamespace

from train_lora import train_lora
from transformers import AutoTokenizer
from write_modelfile import write_modelfile

from modelfiles import go_text, parse
from specialist.bases.templates import talks
from specialist.engine.checkpoints import Checkpoints
from specialist.engine.tracking import Tracking
from specialist.gguf.runtime import Runtime

FILES = ("model", "config", "tokenizer", "tokenizer_config", "chat_template")
SETTINGS = {
    "learning_rate": 1e-3, "batch_size": 2, "gradient_accumulation": 1,
    "gradient_checkpointing": False, "epochs": 1, "max_length": 512, "precision": "fp32",
    "seed": 1,
}  # fmt: skip


def train(base, rows, prompt, method, folder, rank=2):
    """Train an adapter; returns {name: path} of its files, and the path of the masks."""
    adapter = {name: folder / file for name, file in (
        ("adapter", "adapter_model.safetensors"), ("adapter_config", "adapter_config.json"),
    )}  # fmt: skip
    masks = folder / "masks.txt"
    train_lora(
        rows, rows, **{name: base[name] for name in FILES}, system_prompt=prompt, **adapter,
        pretraining_tokens=[],
        figures=folder / "training.json", masks=masks, curve=folder / "loss.csv", threads=1,
        settings=SimpleNamespace(
            **SETTINGS, method=method, rank=rank, alpha=4, dropout=0.0, target_modules="all-linear",
            packing=False, examples=None,
        ),
        checkpoints=Checkpoints(folder / "checkpoints", 1000),
        tracking=Tracking(),
    )  # fmt: skip
    return adapter, masks


def check_modelfile(gguf, prompt, tools, base, made):
    """Ollama is to write a conversation as Transformers does, but for the start token it adds."""
    settings = {"license": "mit", "context": 512, "max_new_tokens": 24}
    write_modelfile(gguf, prompt, tools, made, search=False, **settings)
    tokenizer = AutoTokenizer.from_pretrained(base["tokenizer"].parent)
    with Runtime(gguf) as runtime:
        start = tokenizer.bos_token if runtime.adds_bos else ""
    found = parse(made.read_text(encoding="utf-8"))
    for talk in (talk[:end] for talk in talks() for end in (2, 4, 6)):
        text = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
        assert go_text(dict(found)["TEMPLATE"], talk) == text.removeprefix(start)
