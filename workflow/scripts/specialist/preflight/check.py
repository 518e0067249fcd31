"""Checks before a run whether it fits this machine, and suggests settings that fit."""

import contextlib
import copy
import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

from specialist.config.settings.bases import ORIGINS, in_gguf
from specialist.core import gguf_header, packages
from specialist.core.errors import UserError
from specialist.core.shape import shape
from specialist.preflight import architecture, lengths, needs
from specialist.preflight.machine import look
from specialist.preflight.smaller import CHANGES


@dataclass(frozen=True)
class Stage:
    """A job and its needs.

    Args:
        rule, names: of the job, and the values of its wildcards by their names.
        parameters: of its model.
        need: a `specialist.preflight.needs.Need`.
    """

    rule: str
    names: dict
    parameters: int
    need: needs.Need

    @property
    def name(self):
        return " ".join([self.rule, *self.names.values()])


class Preflight:
    """Estimates the jobs of a run.

    Args:
        config: the loaded configuration.
        machine: a `Machine`.
    """

    def __init__(self, config, machine):
        self.config, self.machine, self._sizes = config, machine, {}

    def stages(self, jobs):
        """A `Stage` for each of some jobs whose need is known.

        Args:
            jobs: pairs of a rule's name and a dict of wildcards.
        """
        found = []
        for rule, wildcards in jobs:
            names = {key: value for key, value in wildcards.items() if key != "dataset"}
            if model := self.model(names) if rule in ESTIMATES else None:
                need = ESTIMATES[rule](model, names, self.config, self.machine)
                found.append(Stage(rule, names, model.parameters, need))
        return found

    def check(self, jobs):
        """Refuse a run that cannot fit.

        Raises:
            UserError: names each stage that needs more than is available, and settings that fit.
        """
        stages, here = self.stages(jobs), self.machine
        said = [self._refusal(stage) for stage in stages if not self._fits(stage.need)]
        made = total(stages)
        if made > here.disk:
            share = max((s.parameters for s in stages), default=0) * here.disk / made
            said.append(
                f"the run writes {_gb(made)} of files, {_gb(here.disk)} of disk are free; use "
                f"fewer quantizations, or a base of at most {_count(share)} weights"
            )
        if said:
            lines = "\n  ".join(said)
            raise UserError(
                "this run does not fit this machine (set `preflight: false` to try anyway):\n  "
                f"{lines}"
            )

    def base(self, names):
        """Name of the base that a job's model stands on; None without a model."""
        config = self.config
        entry = config["systems"].get(names.get("system"), {})
        given = {**entry, **names}
        name = given.get("base") or given.get("adapter") or given.get("model")
        adapter = config["adapters"].get(name)
        return adapter["base"] if adapter else name

    def model(self, names):
        """The `Architecture` of a job's base; None if there is none, or its config is unknown."""
        base = self.base(names)
        if base is not None and base not in self._sizes:
            entry = self.config["bases"][base]
            found = config_of(entry)
            place = next((entry[key] for key in ORIGINS if key in entry), base)
            self._sizes[base] = found and architecture.read(found, f"{place}: config.json")
        return self._sizes.get(base)

    def _fits(self, need):
        return need.ram <= self.machine.ram and need.vram <= self.machine.vram

    def _refusal(self, stage):
        here, need = self.machine, stage.need
        short, there, where = need.ram, here.ram, "memory"
        if need.vram > here.vram:
            short, there, where = need.vram, here.vram, "GPU memory"
        options = [*self._options(stage)]
        would = "; these settings fit:" if options else "; no smaller setting fits"
        text = f"{stage.name}: needs {_gb(short)} of {where}, {_gb(there)} are available{would}"
        return "\n    ".join([text, *options])

    def _options(self, stage):
        """Settings with which a job fits, as text, each with its memory."""
        found = {}  # keys that are changed: text of the first values that fit
        changed = CHANGES[stage.rule](stage.names, self.config) if stage.rule in CHANGES else ()
        for section, name, values in changed:
            keys = frozenset(values)
            if keys in found:
                continue
            config = copy.deepcopy(self.config)
            (config[section][name] if name else config[section]).update(values)
            [other] = Preflight(config, self.machine).stages([(stage.rule, stage.names)])
            if self._fits(other.need):
                told = ", ".join(f"{key}: {json.dumps(value)}" for key, value in values.items())
                place = ".".join(filter(None, (section, name)))
                found[keys] = f"{place}: {told} ({_gb(other.need.vram or other.need.ram)})"
        yield from found.values()
        if frozenset(["depth"]) in found:
            return
        model = self.model(stage.names)
        for layers in range(model.layers - 1, 0, -1):
            smaller = dataclasses.replace(model, layers=layers)
            if self._fits(ESTIMATES[stage.rule](smaller, stage.names, self.config, self.machine)):
                yield f"a base of at most {_count(smaller.parameters)} weights of this width"
                return


def config_of(base):
    """The config.json of an entry of `bases`, as a dict; None if it is missing."""
    if "path" in base:
        with contextlib.suppress(OSError, ValueError):  # the import of the base tells what is wrong
            return json.loads(Path(base["path"], "config.json").read_text(encoding="utf-8"))
        return None
    if in_gguf(base):
        return _config_in_gguf(base)
    if "hub" in base:
        from huggingface_hub import hf_hub_download

        try:
            path = hf_hub_download(base["hub"], "config.json", revision=base.get("revision"))
            return json.loads(Path(path).read_text(encoding="utf-8"))
        except Exception:  # no network, no such model: what downloads the weights will tell
            return None
    sizes = shape(base["depth"], base["vocab_size"])
    return {"model_type": "qwen3", "tie_word_embeddings": True, "dtype": "float32", **sizes}


def _config_in_gguf(base):
    """What a GGUF's header says, in the form of a config.json; None if it cannot be read."""
    with contextlib.suppress(UserError):  # the import of the base tells what is wrong
        path = base.get("gguf") or packages.gguf_of("", base["package"])
        return gguf_header.transformers_config("", gguf_header.read_header("", path))
    return None


def total(stages):
    """Peak bytes of disk of a run: all outputs, and the largest scratch."""
    made = sum(stage.need.disk for stage in stages)
    return made + max((stage.need.scratch for stage in stages), default=0)


def table(stages, machine):
    """Needed and available memory as text; for each rule, the job that needs most."""
    most = {}
    for stage in stages:
        kept = most.setdefault(stage.rule, stage)
        if (stage.need.vram, stage.need.ram) > (kept.need.vram, kept.need.ram):
            most[stage.rule] = stage
    rows = [("needs at most", "weights", "memory", "GPU", "makes")]
    for stage in most.values():
        need = stage.need
        sizes = (_gb(size) if size else "" for size in (need.ram, need.vram, need.disk))
        rows.append((stage.name, _count(stage.parameters), *sizes))
    gpu = _gb(machine.vram) if machine.vram else "none"
    rows.append(("all, of available", "", _gb(machine.ram), gpu, _gb(total(stages))))
    lines = [f"{name:<45}{''.join(f'{cell:>11}' for cell in cells)}" for name, *cells in rows]
    return "\n".join([*lines, f"{_gb(machine.disk)} of disk are free"])


def _gb(size):
    return f"{size / 1e9:.1f} GB" if size >= 0.05e9 else f"{size / 1e6:.0f} MB"


def _count(weights):
    for unit, word in ((1e9, "billion"), (1e6, "million")):
        if weights >= unit:
            return f"{weights / unit:.1f} {word}"
    return f"{weights:.0f}"


def _entries(names, config):
    """(adapter or None, base) of a job, their entries."""
    adapter = config["adapters"].get(names.get("adapter") or names.get("model"))
    base = adapter["base"] if adapter else names.get("base") or names.get("model")
    return adapter, config["bases"][base]


def _bf16(base, machine):
    return machine.bf16 if base["precision"] == "auto" else base["precision"] == "bf16"


def _pretrain(model, names, config, machine):
    base = config["bases"][names["base"]]
    return needs.pretraining(model, base, bool(machine.vram), _bf16(base, machine))


def _train(model, names, config, machine):
    adapter, base = _entries(names, config)
    if not adapter["packing"] and (longest := lengths.longest(config, adapter, adapter["base"])):
        adapter = adapter | {"max_length": min(adapter["max_length"], longest)}
    dataset = config["datasets"][adapter["dataset"]]
    rows = adapter.get("examples") or ("simulate" in dataset and lengths.simulated_rows(dataset))
    return needs.finetuning(model, adapter, bool(machine.vram), _bf16(base, machine), rows)


def _measure(model, names, config, machine):
    # The pages of F16 are given back when memory is short.
    return needs.generation(model, needs.bits_of(names["quantization"]), 512, "measure_gguf")


def _agent(model, names, config, machine):
    kind, agent = config["systems"][names["system"]]["quantization"], config["agent"]
    sequences = agent["parallel"] + 1 if agent["parallel"] > 1 else 1
    return needs.generation(model, needs.bits_of(kind), agent["context"] * sequences)


def _fetch(model, names, config, machine):
    return needs.fetching(model, config["bases"][names["base"]])


def _prefer(model, names, config, machine):
    """Two sides of as many preferences at a time."""
    adapter, base = _entries(names, config)
    both = adapter | {"batch_size": 2 * adapter["batch_size"]}
    return needs.finetuning(model, both, bool(machine.vram), _bf16(base, machine))


def _collect(model, names, config, machine):
    adapter, _ = _entries(names, config)
    return needs.collecting(model, adapter, bool(machine.vram), adapter["max_length"])


def _importance(model, names, config, machine):
    adapter, base = _entries(names, config)
    return needs.importance(model, 8 * (adapter or base).get("max_length", base["context"]))


def _merge(model, names, config, machine):
    adapter, _ = _entries(names, config)
    return needs.merging(model, adapter["method"], bool(machine.vram))


ESTIMATES = {
    "fetch_base": _fetch,
    "dequantize_base": _fetch,
    "pretrain": _pretrain,
    "train_lora": _train,
    "collect_preferences": _collect,
    "train_dpo": _prefer,
    "continue_pretraining": _pretrain,
    "merge_lora": _merge,
    "measure_importance": _importance,
    "convert_gguf": lambda model, *_: needs.conversion(model),
    "quantize": lambda model, names, *_: needs.quantization(
        model, needs.bits_of(names["quantization"])
    ),
    "measure_gguf": _measure,
    "measure_general": _measure,
    "run_agent": _agent,
    "evaluate_adapter": lambda model, *_: needs.evaluation(model),
}


def enforce(config, jobs):
    """Refuse a run that cannot fit this machine, unless the configuration says `preflight: false`.

    Args:
        jobs: pairs of a rule's name and a dict of wildcards, of all jobs that would run.

    Raises:
        UserError: see `Preflight.check`.
    """
    if config["preflight"]:
        Preflight(config, look(os.curdir)).check(jobs)
