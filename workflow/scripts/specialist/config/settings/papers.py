"""The paper: its experiments, shapes and benchmarks."""

from typing import Annotated, Any, Literal

from pydantic import Field

from specialist.config.settings.bases import ORIGINS, imported
from specialist.config.settings.datasets import LocalCorpus
from specialist.config.settings.fields import (
    Name,
    Names,
    Positive,
    Quantizations,
    Seed,
    Settings,
    Unique,
)
from specialist.config.settings.places import unknown

# Experiments that are not sweeps.
OTHER_EXPERIMENTS = {
    "quantization", "stack", "retrieval", "scale", "pretraining", "benchmark",
}  # fmt: skip
Changes = dict[str, Any]  # keys of another entry; they are checked there
Sweep = Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]


class Shape(Settings):
    architecture: Literal["llama", "qwen2"] = Field(description="Its name in llama.cpp.")
    hidden: int = Field(ge=32, multiple_of=32, description="Width of the model.")
    layers: int = Field(ge=1, description="Number of layers.")
    heads: int = Field(ge=1, description="Heads of the queries.")
    key_heads: int = Field(ge=1, description="Heads of the keys and values.")
    intermediate: int = Field(
        ge=32, multiple_of=32, description="Width of the feed-forward layers."
    )
    vocabulary: int = Field(ge=32, description="Number of tokens.")


class Published(Settings):
    name: str = Field(description="Name of the published work.")
    seconds: Positive = Field(
        description="Wall time of training, in seconds, on a comparable machine."
    )
    bits_per_byte: Positive = Field(description="Loss on the last tenth of the text.")


class Benchmark(Settings):
    corpus: LocalCorpus = Field(
        description="A text to download. The first nine tenths are for training, the rest is held "
        "out."
    )
    pretraining: Changes = Field(description="Settings of the base.")
    published: Published = Field(description="The published figures.")


class EntryChanges(Settings):
    dataset: Changes = Field({}, description="Settings of a simulated dataset.")
    base: Changes = Field({}, description="Settings of the base.")


class Paper(Settings):
    about: str = Field(
        "", description="What this version can show and what it cannot; the page begins with it."
    )
    seeds: Annotated[list[Seed], Field(min_length=2), *Unique] = Field(
        description="Seeds of the bases and adapters; each cell is trained once with each seed."
    )
    own_base: Changes | None = Field(
        None,
        description="Settings of an imported base that all cells use instead of the headline's "
        "base. It gets the name of this version.",
    )
    changes: EntryChanges = Field(
        EntryChanges(),
        description="Settings of the dataset and the base that differ from the main run.",
    )
    reference: Changes = Field(
        {}, description="Settings of the adapter that differ from the main run, in every sweep."
    )
    whole: Changes = Field(
        {},
        description="Settings of the adapter that differ from the main run, in the experiments on "
        "quantisation and on parts of the system; the sweeps ignore them.",
    )
    sweeps: dict[Name, Sweep] = Field(
        {},
        description="Experiments by name: settings of an adapter, each with a list of values. The "
        "first values of all settings form the first cell, and so on.",
    )
    quantizations: Quantizations = Field(
        [],
        description="Types of llama.cpp to compare with F16; an empty list skips this experiment.",
    )
    scale: Names = Field([], description="Names of `shapes` to measure for the page.")
    large: Names = Field(
        [],
        description="Names of `shapes` in results/paper/scale-7b.json; they need many gigabytes of "
        "disk.",
    )
    benchmarks: Names = Field(
        [], description="Names of `benchmarks` to run, each once with each seed."
    )
    stack: bool | Literal["each"] = Field(
        True,
        description="Whether to evaluate the headline's system without some of its parts: in all "
        "combinations (true), or without one part at a time (each).",
    )
    over: Literal["seeds", "tasks"] = Field(
        "seeds",
        description="What the interval of a success rate is over, if the claim does not say so. "
        "Two seeds give an interval that is too wide. One over the tasks applies only to the "
        "trained models.",
    )
    claims: dict[str, dict[str, str | int | float]] = Field(
        {},
        description="Values of the claims in this version, by the ids of the claims: see `values` "
        "in resources/claims.yaml.",
    )


def check(config):
    """Yield (place, mistake) for the versions of the paper."""
    papers = config.get("papers", {})
    if papers:
        yield from unknown(("paper",), config["paper"], papers)
    for name, entry in papers.items():
        for key, names in (("scale", "shapes"), ("large", "shapes"), ("benchmarks", "benchmarks")):
            for index, value in enumerate(entry[key]):
                yield from unknown(("papers", name, key, index), value, config[names])
        for sweep, lists in entry["sweeps"].items():
            place = ("papers", name, "sweeps", sweep)
            if sweep in OTHER_EXPERIMENTS:
                yield place, "is the name of another experiment"
            counts = {key: len(values) for key, values in lists.items()}
            if len(set(counts.values())) > 1:
                found = ", ".join(f"{count} of {key}" for key, count in counts.items())
                yield place, f"found {found}, expected as many values of each key"
        if "own_base" in entry:
            yield from _check_base(("papers", name), entry)


def _check_base(place, entry):
    """Yield (place, mistake) for the base of a version's own."""
    if not imported(entry["own_base"]):
        yield (
            (*place, "own_base"),
            f"found {', '.join(entry['own_base']) or 'no settings'}, expected one of "
            f"{', '.join(ORIGINS)}; use changes.base for a base from scratch",
        )
    if entry["changes"]["base"]:
        yield (*place, "changes", "base"), "is of the headline's base; move it to own_base"
