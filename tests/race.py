"""Races the benchmark's pretraining against a small GPT as nanoGPT's recipe for processors has it.

    python tests/race.py FILE          (tiny Shakespeare; one to three minutes on two quiet cores)

The two take turns, step by step, whoever has used less time, so that other work on the machine
falls on both alike. The GPT is built of PyTorch's own layers, after the published figures: 4 layers
of width 128 with 4 heads, 64 characters of context, 12 rows a step, 2,000 steps of AdamW.
"""

import functools
import json
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from split_corpus import split_corpus  # noqa: E402
from tokenize_corpus import tokenize_corpus  # noqa: E402
from train_tokenizer import train_tokenizer  # noqa: E402

from specialist.config.experiments import lay_out  # noqa: E402
from specialist.config.load import load  # noqa: E402
from specialist.core.shape import shape  # noqa: E402
from specialist.train import attention, language, pretraining  # noqa: E402

LAYERS, WIDTH, HEADS, CONTEXT, ROWS, STEPS = 4, 128, 4, 64, 12, 2000
PEAK, LOWEST, WARM_UP = 1e-3, 1e-4, 100


class SmallGPT(torch.nn.Module):
    """A decoder of characters: learned positions, norms before, embeddings tied to the head."""

    def __init__(self, characters):
        super().__init__()
        layer = torch.nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True, bias=False
        )
        norm = torch.nn.LayerNorm(WIDTH, bias=False)
        self.layers = torch.nn.TransformerEncoder(layer, LAYERS, norm, enable_nested_tensor=False)
        self.characters = torch.nn.Embedding(characters, WIDTH)
        self.positions = torch.nn.Embedding(CONTEXT, WIDTH)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                last = name.endswith(("out_proj.weight", "linear2.weight"))
                std = 0.02 / math.sqrt(2 * LAYERS) if last else 0.02
                torch.nn.init.normal_(parameter, std=std)

    def forward(self, ids):
        """Loss in nats of each row's characters after its first; ids [rows, characters]."""
        length = ids.shape[1] - 1
        mask = torch.nn.Transformer.generate_square_subsequent_mask(length)
        hidden = self.characters(ids[:, :-1]) + self.positions.weight[:length]
        logits = self.layers(hidden, mask, is_causal=True) @ self.characters.weight.T
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def published(train, model):
    """Take the steps of the published recipe, one each time it is asked for."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.99), weight_decay=0.1)
    generator = np.random.default_rng(1)
    for step in range(STEPS):
        loss = model(language.windows(train, ROWS, CONTEXT, generator))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        fall = (step - WARM_UP) / (STEPS - WARM_UP)
        slow = LOWEST + (PEAK - LOWEST) * (1 + math.cos(math.pi * fall)) / 2
        for group in optimizer.param_groups:
            group["lr"] = PEAK * (step + 1) / (WARM_UP + 1) if step < WARM_UP else slow
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


def tokens_of(file, vocab_size, sequence):
    """(text for training, held-out text, bytes of the latter) in the workflow's tokens."""
    with tempfile.TemporaryDirectory() as name:
        folder, template = Path(name), ROOT / "resources/prompts/chat_template.jinja"
        parts = folder / "train.jsonl", folder / "validation.jsonl"
        split_corpus(file, *parts, validation_share=0.1)
        own = [folder / part for part in ("tokenizer.json", "tokenizer_config.json", "chat")]
        train_tokenizer(parts[0], template, *own, vocab_size=vocab_size)
        made = [folder / part for part in ("train.npy", "validation.npy", "stats.json")]
        tokenize_corpus(*parts, *own[:2], template, *made)
        size = json.loads(made[2].read_text())["held_out"]["bytes"]
        return *(language.one_text(path, sequence) for path in made[:2]), size


def main(file, device="cpu"):
    """Run the race, and print the seconds and the bits per byte of both."""
    run, paper = (
        yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "paper")
    )
    base = lay_out(load(run | paper))[0]["bases"]["tiny-shakespeare"]
    keys = ("batch_tokens", "sequence", "learning_rate", "muon_learning_rate", "weight_decay",
            "warmup_share", "precision", "seed")  # fmt: skip
    settings, sequence = {key: base[key] for key in keys}, base["sequence"]
    train, held_out, size = tokens_of(file, base["vocab_size"], sequence)
    text = file.read_text(encoding="utf-8")
    _, characters = np.unique(list(text), return_inverse=True)
    cut = int(len(text) * 0.9)
    torch.manual_seed(base["seed"])
    gpt = SmallGPT(characters.max() + 1)
    sizes = shape(base["depth"], base["vocab_size"])
    network = pretraining.base_model(sizes, base["context"], 0)
    network.set_attn_implementation(attention.implementation(base["precision"]))
    steps = math.ceil(base["train_tokens"] / (base["batch_tokens"] // sequence * sequence))
    racers = {
        "published recipe": published(characters[:cut], gpt),
        "specialist": language.training(network, train, steps=steps, device=device, **settings),
    }
    loss_of = functools.partial(language.loss_of, network)
    seconds, losses = dict.fromkeys(racers, 0.0), {name: [] for name in racers}
    while racers:
        name = min(racers, key=seconds.get)
        begin = time.perf_counter()
        loss = next(racers[name], None)
        seconds[name] += time.perf_counter() - begin
        if loss is None:
            print(f"{name}: {len(losses[name])} steps in {seconds[name]:.1f} s", flush=True)
            del racers[name]
            continue
        losses[name].append(loss)
        if len(losses[name]) % 100 == 0:
            print(f"{name}: step {len(losses[name])}, {seconds[name]:.1f} s, loss {loss:.3f}")
    nats = {"published recipe": language.nats_of(gpt, characters[cut - 1 :], CONTEXT, device)}
    with pretraining.autocast(base["precision"]):
        nats["specialist"] = language.nats_of(loss_of, held_out, sequence, device)
    for name, sum_of in nats.items():
        bits = sum_of / math.log(2) / size
        print(f"{name}: {bits:.3f} bits per byte after {seconds[name]:.1f} s")
    share = seconds["specialist"] / seconds["published recipe"]
    print(f"time of specialist: {share:.2f} of that of the published recipe")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
