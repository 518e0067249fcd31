"""Adapters: LoRA and its variants on a frozen base, and a second stage on preferences."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from specialist.config.settings.bases import imported
from specialist.config.settings.fields import (
    OwnDataset,
    Positive,
    Processes,
    Rate,
    Seed,
    Settings,
    Unique,
    number,
)
from specialist.config.settings.forgetting import TRAIN, check_text
from specialist.config.settings.places import unknown
from specialist.core.shares import divisors

LINEAR_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Layers = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1), *Unique]


class Batches(Settings):
    """The settings of both stages of an adapter's training."""

    place: ClassVar = "adapters/{adapter}"
    method: Literal["lora", "qlora", "dora", "rslora", "full"] = Field(
        "lora",
        description="Training method. `qlora` keeps the base in 4 bits during training. `dora` and "
        "`rslora` are variants of LoRA. `full` trains all weights and ignores rank, alpha, "
        "dropout and target_modules.",
    )
    batch_size: int = Field(4, ge=1, description="Conversations in one forward pass.")
    gradient_accumulation: int = Field(2, ge=1, description="Forward passes in one optimizer step.")
    gradient_checkpointing: bool = Field(
        False,
        description="Recompute activations for the gradients instead of storing them: less memory, "
        "more time.",
    )
    max_length: int = Field(1024, ge=32, description="Tokens in the longest conversation.")
    seed: Seed | None = Field(None, description="Seed of the training; default: seeds.lora.")


class LoraTraining(Batches):
    """The settings of `train_lora`, besides the precision of the base."""

    rank: int = Field(16, ge=1, description="Rank of the low-rank update.")
    alpha: Positive = Field(
        32, description="Scale of the update: it is multiplied by alpha / rank."
    )
    dropout: number(ge=0, lt=1) = Field(
        0.0, description="Dropout on the adapter's inputs during training."
    )
    target_modules: Literal["all-linear"] | Layers = Field(
        "all-linear", description="Layers to adapt: `all-linear` or a list of names."
    )
    learning_rate: Rate = Field(0.001, description="Peak learning rate of AdamW.")
    packing: bool = Field(
        False,
        description="Pack short conversations into rows of max_length tokens. They do not attend "
        "to each other.",
    )
    examples: int | None = Field(
        None,
        ge=1,
        description="Number of training conversations to use, drawn by the seed; default: all.",
    )
    epochs: Positive = Field(2, description="Passes over the training conversations.")


class DpoTraining(Settings):
    """The settings of `train_dpo`, besides `Batches` and the precision of the base."""

    place: ClassVar = "adapters/{adapter}/dpo"
    beta: Positive = Field(0.1, description="Penalty for moving away from the first-stage adapter.")
    learning_rate: Rate = Field(0.0001, description="Peak learning rate of AdamW.")
    epochs: Positive = Field(1, description="Passes over the preferences.")


class Dpo(DpoTraining):
    episodes: int = Field(
        400, ge=1, description="Episodes of a simulated dataset to search for mistakes."
    )


class Target(Settings):
    base: str = Field(description="Name of the base to adapt.")
    dataset: OwnDataset = None


class Adapter(LoraTraining, Target):
    mix_general: number(ge=0, le=0.9) = Field(
        0,
        description="Share of the training rows that are general text, so that the adapter forgets "
        "less. These rows are added to the conversations; `examples` counts both.",
    )
    general_text: str | None = Field(
        None,
        description="Plain text in UTF-8 for `mix_general`: a `.txt` or `.md` file; default: "
        f"`{TRAIN}`. It must not share paragraphs with `forgetting.text`.",
    )
    dpo: Dpo | None = Field(
        None,
        description="Second training stage on preferences (DPO); without this key it does not "
        "run. The preferences come from the dataset's preferences.jsonl. For a simulated dataset, "
        "they come from the adapter's mistakes on new training episodes.",
    )
    processes: Processes = None


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
        yield from _check_processes(place, entry)
        yield from check_text((*place, "general_text"), entry.get("general_text"))
        if "general_text" in entry and not entry["mix_general"]:
            yield (*place, "general_text"), "is only for an adapter with mix_general; remove it"
        targets = entry["target_modules"]
        if targets != "all-linear" and not imported(base):  # train_lora looks at others itself
            for index, layer in enumerate(targets):
                yield from unknown((*place, "target_modules", index), layer, LINEAR_LAYERS)


def _check_processes(place, entry):
    """Every process must have as many conversations of a step as the others."""
    count, step = entry.get("processes", 1), entry["batch_size"] * entry["gradient_accumulation"]
    if count > 1 and entry["method"] == "qlora":
        yield (*place, "processes"), "method qlora trains in one process; remove it"
    elif step % count:
        yield (
            (*place, "processes"),
            f"found {count}, expected a divisor of {step}, the conversations in a step (batch_size "
            f"x gradient_accumulation): {divisors(step)}",
        )
