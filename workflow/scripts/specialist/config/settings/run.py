"""The whole configuration."""

import re
from typing import Annotated, Literal

from pydantic import Field

from specialist.config.settings import adapters as adapter_settings
from specialist.config.settings import bases as base_settings
from specialist.config.settings import datasets as dataset_settings
from specialist.config.settings import forgetting as forgetting_settings
from specialist.config.settings import papers as paper_settings
from specialist.config.settings import synthesis as synthesis_settings
from specialist.config.settings import systems as system_settings
from specialist.config.settings.fields import (
    Name,
    Quantizations,
    Seed,
    Settings,
    Share,
    Unique,
    number,
)
from specialist.config.settings.places import unknown

# Key of an entry that names an entry of a section.
REFERENCES = {"dataset": "datasets", "base": "bases", "adapter": "adapters", "index": "indexes"}


class Cache(Settings):
    folder: str = Field(
        "~/.cache/specialist",
        description="Folder of the cache; checkouts may share it. ~ is the home folder.",
    )
    max_gb: number(ge=0) = Field(
        20,
        description="Largest size in GB (10^9 bytes). Above it, the least recently used entries "
        "are removed. 0 turns the cache off.",
    )


class Release(Settings):
    license: str = Field(
        "other",
        min_length=1,
        description="The model's licence, by its name on model hubs, such as mit or apache-2.0. It "
        "must respect the licences of the base and the data.",
    )
    data_license: str = Field("", description="Licence of the training data, for the model card.")
    language: str = Field("", description="Code of the model's language, such as en.")
    author: str = Field("", description="Author of the model.")


class Resources(Settings):
    memory_factor: number(ge=1) = Field(
        1.2,
        description="Memory that a job asks a scheduler for (`mem_mb`), as a multiple of the "
        "estimate that `make plan` shows. A job that is tried again asks for twice as much.",
    )
    runtime_factor: number(ge=1) = Field(
        3,
        description="Time that a job asks a scheduler for (`runtime`), as a multiple of the "
        "estimate for two slow cores, or for a small GPU.",
    )
    gpu: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether jobs that compute on a GPU ask for one (`gpu`). `auto`: if the "
        "machine that starts the run has one. Other jobs see no GPU.",
    )


class Seeds(Settings):
    simulate: Seed = Field(1, description="The simulated dataset.")
    prepare: Seed = Field(1, description="The split into training and validation data.")
    pretrain: Seed = Field(1, description="Initial weights and order of the pretraining data.")
    lora: Seed = Field(1, description="Initial adapter, dropout and order of the conversations.")
    agent: Seed = Field(1, description="The random policy.")


class Config(Settings):
    dataset: str = Field(
        description="Dataset of the evaluation, and the default of every base, adapter and index."
    )
    datasets: dict[Name, dataset_settings.Dataset] = Field(
        min_length=1,
        description="Datasets by name. Each is simulated from a spec (`simulate`), a folder of "
        "files (`path`), or a downloaded text (`corpus`).",
    )
    bases: dict[Name, base_settings.Base] = Field(
        min_length=1,
        description="Base models by name. Each is pretrained from scratch on the corpus of its "
        "dataset, or imported with `path`, `hub`, `gguf` or `package`.",
    )
    adapters: dict[Name, adapter_settings.Adapter] = Field(
        {}, description="Adapters by name, each trained on a base."
    )
    quantizations: Quantizations = Field(
        [],
        description="Types of llama.cpp that each GGUF is quantised to; F16 is always made. A name "
        "that ends with `_IMATRIX` is the same type, made with an importance matrix of the "
        "model's training conversations; the smallest types need one.",
    )
    strict_quantization: bool = Field(
        False,
        description="Refuse a model with rows that a type cannot store. By default, llama.cpp "
        "stores such tensors in a related type.",
    )
    lost_tasks: Share = Field(
        0.05,
        description="Largest share of the tasks that a quantised system may lose against the same "
        "system in F16. The summary names each file that loses more.",
    )
    forgetting: forgetting_settings.Forgetting = Field(
        forgetting_settings.Forgetting(),
        description="A measure of what the headline's adapter forgets of general language.",
    )
    indexes: dict[Name, system_settings.Index] = Field(
        {}, description="Search indexes of a knowledge base by name."
    )
    retrieval: system_settings.Retrieval = Field(
        system_settings.Retrieval(), description="The search tool of the agent."
    )
    agent: system_settings.Agent = Field(system_settings.Agent(), description="The ReAct loop.")
    systems: dict[Name, system_settings.System] = Field(
        min_length=1,
        description="What the evaluation compares, by name. Each has exactly one of `policy`, "
        "`base` and `adapter`.",
    )
    shapes: dict[Name, paper_settings.Shape] = Field(
        {},
        description="Model shapes by name. Their size and speed are measured with random weights.",
    )
    benchmarks: dict[Name, paper_settings.Benchmark] = Field(
        {},
        description="Published pretraining runs by name, with their text and the base that is "
        "trained on it here. The dataset and the base get the same name.",
    )
    paper: str = Field(
        "full", description="Name in `papers` of the version for results/paper/report.html."
    )
    papers: dict[Name, paper_settings.Paper] = Field(
        {},
        description="Versions of the experiments of results/paper/report.html, by name. They use "
        "the headline's adapter, base and index.",
    )
    cache: Cache = Field(
        Cache(),
        description="Cache of step outputs, outside results/. `make cache` shows it.",
    )
    checkpoint_seconds: number(ge=0) = Field(
        60,
        description="Seconds of training between two checkpoints. A killed run continues from the "
        "last one. No effect on results.",
    )
    tracking: Annotated[list[Literal["tensorboard", "mlflow", "trackio"]], *Unique] = Field(
        [],
        description="Programs that show losses, learning rates and memory while a model trains. "
        "They write to results/tracking; `envs/tracking.txt` says how to install them. No effect "
        "on results.",
    )
    preflight: bool = Field(
        True,
        description="Refuse a run before its first job if it needs more memory or disk than this "
        "machine has. No effect on results.",
    )
    resources: Resources = Field(
        Resources(),
        description="What jobs ask a scheduler for. See docs/cluster.md. No effect on results.",
    )
    release: Release = Field(
        Release(), description="Facts for the model card and the GGUF in results/release/NAME."
    )
    headline: str = Field(description="Name of the system; its success rate is the main result.")
    seeds: Seeds = Field(Seeds(), description="Seeds of the random numbers.")


# Sections with names of the user as keys.
NAMED = (
    "datasets", "bases", "adapters", "indexes", "systems", "shapes", "benchmarks", "papers",
)  # fmt: skip


def inherit(config):
    """Set the defaults that are the value of another setting, in place."""
    dataset, seeds = config.get("dataset"), config["seeds"]
    for section in ("bases", "adapters", "indexes"):
        for entry in config.get(section, {}).values():
            if dataset is not None:
                entry.setdefault("dataset", dataset)
    for entry in config.get("bases", {}).values():
        entry.setdefault("seed", seeds["pretrain"])
        for key, value in (
            base_settings.IMPORTED if base_settings.imported(entry) else base_settings.SCRATCH
        ).items():
            entry.setdefault(key, value)
    for entry in config.get("adapters", {}).values():
        entry.setdefault("seed", seeds["lora"])
    for entry in config.get("systems", {}).values():
        if "policy" not in entry and "engine" not in entry:
            entry.setdefault("quantization", system_settings.UNQUANTIZED)


# Folders of results/ that do not belong to a dataset, and names that Windows reserves.
TAKEN = {"logs", "paper", "release", "tracking"}
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def check(config):
    """Yield (place, mistake) for names that refer to an entry, and for the entries' names."""
    entries = {section: config.get(section, {}) for section in NAMED}
    yield from unknown(("dataset",), config.get("dataset"), entries["datasets"])
    yield from unknown(("headline",), config.get("headline"), entries["systems"])
    for name in TAKEN.intersection(entries["datasets"]):
        yield ("datasets", name), f"results/{name} is not a dataset's folder; choose another name"
    for name in entries["adapters"].keys() & entries["bases"].keys():
        yield ("adapters", name), "is a name in bases too; rename one of them"
    for section, named in entries.items():
        seen = {}
        for name, entry in named.items():
            if (other := seen.setdefault(str(name).lower(), name)) != name:
                yield (section, name), f"differs from {other} in case alone; rename one of them"
            if DEVICES.fullmatch(str(name)):
                yield (section, name), "is not a file name on Windows; choose another name"
            for key, names in REFERENCES.items():
                # A wrong `dataset` at the top is one mistake, not one for each that inherits it.
                if key != "dataset" or entry.get(key) != config.get("dataset"):
                    yield from unknown((section, name, key), entry.get(key), entries[names])


CHECKS = (
    check,
    dataset_settings.check,
    synthesis_settings.check,
    base_settings.check,
    adapter_settings.check,
    forgetting_settings.check,
    system_settings.check,
    paper_settings.check,
)
