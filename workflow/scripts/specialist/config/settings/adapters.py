"""Adapters: LoRA and its variants on a frozen base, and a second stage on preferences."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from specialist.config.settings.bases import imported
from specialist.config.settings.fields import (
    OwnDataset,
    Positive,
    Rate,
    Seed,
    Settings,
    Unique,
    number,
)
from specialist.config.settings.places import unknown

LINEAR_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Layers = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1), *Unique]


class Batches(Settings):
    """What both stages of an adapter's training compute with."""

    place: ClassVar = "adapters/{adapter}"
    method: Literal["lora", "qlora", "dora", "rslora", "full"] = Field(
        "lora",
        description="What is trained. `qlora` keeps the base in 4 bits meanwhile, `dora` and "
        "`rslora` are variants of the update, `full` trains all weights and ignores rank, alpha, "
        "dropout and target_modules.",
    )
    batch_size: int = Field(4, ge=1, description="Conversations in one forward pass.")
    gradient_accumulation: int = Field(2, ge=1, description="Forward passes in one optimizer step.")
    gradient_checkpointing: bool = Field(
        False,
        description="Whether activations are recomputed for the gradients instead of kept; takes "
        "more time and less memory.",
    )
    max_length: int = Field(1024, ge=32, description="Tokens in the longest conversation.")
    seed: Seed | None = Field(None, description="Its seed; default: seeds.lora.")


class LoraTraining(Batches):
    """What `train_lora` computes with, beside the precision of the base."""

    rank: int = Field(16, ge=1, description="Rank of the low-rank update.")
    alpha: Positive = Field(
        32, description="Scale of the update, which is multiplied by alpha / rank."
    )
    dropout: number(ge=0, lt=1) = Field(
        0.0, description="Share of an adapter's inputs that is dropped in training."
    )
    target_modules: Literal["all-linear"] | Layers = Field(
        "all-linear", description="The layers that get an update: `all-linear` or a list of names."
    )
    learning_rate: Rate = Field(0.001, description="Peak learning rate of AdamW.")
    packing: bool = Field(
        False,
        description="Whether short conversations share a row of max_length tokens, in which they "
        "do not see each other.",
    )
    examples: int | None = Field(
        None,
        ge=1,
        description="Training conversations that it learns from, drawn by its seed; default: all.",
    )
    epochs: Positive = Field(2, description="Passes over the training conversations.")


class DpoTraining(Settings):
    """What `train_dpo` computes with, beside `Batches` and the precision of the base."""

    place: ClassVar = "adapters/{adapter}/dpo"
    beta: Positive = Field(0.1, description="Cost of moving away from the adapter as it was.")
    learning_rate: Rate = Field(0.0001, description="Peak learning rate of AdamW.")
    epochs: Positive = Field(1, description="Passes over the preferences.")


class Dpo(DpoTraining):
    episodes: int = Field(
        400, ge=1, description="Episodes of a simulated dataset that are searched for mistakes."
    )


class Target(Settings):
    base: str = Field(description="Name of the base that it adapts.")
    dataset: OwnDataset = None


class Adapter(LoraTraining, Target):
    dpo: Dpo | None = Field(
        None,
        description="A second stage on preferences, from preferences.jsonl of the dataset; for a "
        "simulated one, from the adapter's mistakes on new episodes of the training side. Without "
        "this key there is no second stage.",
    )


def check(config):
    """Yield (place, mistake) for the adapters of a configuration."""
    bases = config.get("bases", {})
    for name, entry in config.get("adapters", {}).items():
        place, base = ("adapters", name), bases.get(entry.get("base"), {})
        context = base.get("context", entry["max_length"])
        if entry["max_length"] > context:
            yield (
                (*place, "max_length"),
                f"found {entry['max_length']}, expected at most the context of its base, {context}",
            )
        if "dpo" in entry and entry["method"] == "full":
            yield (*place, "dpo"), "needs an adapter, and method full has none; remove it"
        targets = entry["target_modules"]
        if targets != "all-linear" and not imported(base):  # train_lora looks at others itself
            for index, layer in enumerate(targets):
                yield from unknown((*place, "target_modules", index), layer, LINEAR_LAYERS)
