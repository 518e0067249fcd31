"""The paper's experiments: each cell is an ordinary adapter and system, with a name and a path.

The name of a variant states its differences from the original entry. A cell without differences
is the original entry itself, so it is not trained twice.
"""

import itertools

from specialist.config.load import load
from specialist.config.settings.bases import imported
from specialist.config.settings.run import NAMED
from specialist.config.settings.systems import UNQUANTIZED
from specialist.core.errors import UserError

# The experiments that are not sweeps.
QUANTIZATION, STACK, RETRIEVAL, SCALE = "quantization", "stack", "retrieval", "scale"
PRETRAINING, BENCHMARK = "pretraining", "benchmark"
# What the stack is made of: argument of a cell -> {label: value}.
PARTS = {
    "adapted": {"base": False, "LoRA": True},
    "kind": {},
    "search": {"retrieval": True, "no retrieval": False},
    "tools": {"tools": True, "no tools": False},
}
KEPT = ("prompt", "rules", "tasks")  # of the headline's system, which each cell has too


def lay_out(config):
    """Lay out the cells of the paper that `config` chooses.

    Args:
        config: a loaded configuration; it is not changed.

    Returns:
        (a configuration with a dataset, bases, adapters, an index and systems for all cells
        added; {experiment: list of cells}). A cell is a dict of "cell" (its value, as text),
        "seed", "base", "adapter" (None for a base alone) and "system"; that of the experiment
        "retrieval" stands for all ways to search, and has "index" instead of the last three;
        one of "scale" stands for all types, and has "shape". One of "pretraining" or "benchmark"
        has "base" alone, and the latter is named by its benchmark.
        A base that is imported is the same for all seeds, and has no curve of pretraining.
        Without `papers`, or where the headline has no adapter, or one of an imported base and the
        version has no base of its own, there are no cells.

    Raises:
        UserError: a value in a sweep is not allowed for its key, or a benchmark has the same
            name as a dataset or a base, or the version's own base has that of another one.
    """
    paper = config["papers"].get(config["paper"])
    headline = config["systems"][config["headline"]]
    if not paper or "adapter" not in headline:
        return config, {}
    base = config["bases"][config["adapters"][headline["adapter"]]["base"]]
    if "own_base" not in paper and imported(base):
        return config, {}
    # Entries are added, and none is changed.
    config = config | {section: dict(config[section]) for section in NAMED}
    adapter, index = _own_entries(config, paper, headline)
    kinds = [UNQUANTIZED, *paper["quantizations"]]
    config["quantizations"] = list(dict.fromkeys([*config["quantizations"], *kinds[1:]]))
    root, seeds, whole = config["adapters"][adapter]["base"], paper["seeds"], paper["whole"]
    kept = {key: headline[key] for key in KEPT if key in headline}

    def cell(label, seed, changes, kind=UNQUANTIZED, adapted=True, search=True, tools=True):
        base = name = _base(config["bases"], root, seed)
        model = {"base": base}
        if adapted:
            name = _variant(config["adapters"], adapter, **changes, seed=seed, base=base)
            model = {"adapter": name}
        searched = {"index": index} if search and index else {}
        entry = {**model, "quantization": kind, **searched, "tools": tools, **kept}
        parts = [name, kind, searched.get("index", "alone"), *([] if tools else ["no-tools"])]
        config["systems"][".".join(parts)] = entry
        place = {"cell": label, "seed": seed, "base": base, "adapter": model.get("adapter")}
        return {**place, "system": ".".join(parts)}

    found = {
        experiment: [
            cell(label, seed, paper["reference"] | changes)
            for label, changes in values(experiment, lists)
            for seed in seeds
        ]
        for experiment, lists in paper["sweeps"].items()
    }
    if paper["quantizations"]:
        found[QUANTIZATION] = [cell(kind, seed, whole, kind) for kind in kinds for seed in seeds]
    if paper["stack"]:
        own = headline.get("quantization")  # a served model may have none
        chosen = own if own in kinds else kinds[-1]
        parts = PARTS | {"kind": {kind: kind for kind in (UNQUANTIZED, chosen)}}
        found[STACK] = [
            cell(", ".join(labels), seed, whole, **_pick(parts, labels))
            for labels in _combinations(parts, each=paper["stack"] == "each")
            for seed in seeds
        ]
    if index:
        found[RETRIEVAL] = [{"cell": None, "seed": seeds[0], "index": index}]
    found |= _without_systems(config, paper, root)
    return load(config), found


def _without_systems(config, paper, root):
    """{experiment: cells} of those that run no system; adds the bases that they need."""
    bases, seeds, found = config["bases"], paper["seeds"], {}
    if not imported(bases[root]):
        found[PRETRAINING] = [
            {"cell": root, "seed": seed, "base": _base(bases, root, seed)} for seed in seeds
        ]
    if paper["benchmarks"]:
        found[BENCHMARK] = [
            {"cell": name, "seed": seed, "base": _base(bases, base, seed)}
            for name in paper["benchmarks"]
            for base in [_benchmark(config, name)]
            for seed in seeds
        ]
    if paper["scale"]:
        found[SCALE] = [
            {"cell": None, "seed": seeds[0], "shape": shape} for shape in paper["scale"]
        ]
    return found


def cores(model, config, total):
    """Of `total` cores, those that train a base or adapter.

    All cores for an entry of `config` without the paper's cells. Half of them for a cell, because
    two trainings side by side are faster than one after the other.
    """
    own = model in config["bases"] or model in config["adapters"]
    return total if own else max(1, total // 2)


def _combinations(parts, *, each):
    """Labels of the parts, one of each; with `each`, of the whole and of it without one part."""
    if not each:
        return [*itertools.product(*parts.values())]
    whole = {"adapted": "LoRA", "kind": [*parts["kind"]][-1], "search": "retrieval"}
    whole = [whole.get(name, name) for name in parts]
    others = [
        [*whole[:place], label, *whole[place + 1 :]]
        for place, labels in enumerate(parts.values())
        for label in labels
        if label != whole[place]
    ]
    return [whole, *others]


def _pick(parts, labels):
    """The arguments that labels stand for."""
    return {name: part[label] for (name, part), label in zip(parts.items(), labels, strict=True)}


def values(experiment, lists):
    """Yield (label, {key: value}) for each value of a sweep.

    The label is the value of the key that the experiment is named after, or else all values.
    """
    for row in zip(*lists.values(), strict=True):
        changes = dict(zip(lists, row, strict=True))
        yield (
            _text(changes[experiment]) if experiment in changes else " x ".join(map(_text, row)),
            changes,
        )


def _own_entries(config, paper, headline):
    """Names of the adapter and the index to start from, made where the paper has other data."""
    adapter, index = headline["adapter"], headline.get("index")
    base, dataset = config["adapters"][adapter]["base"], config["adapters"][adapter]["dataset"]
    simulated = "simulate" in config["datasets"][dataset]
    changes = paper["changes"]["dataset"] if simulated else {}
    if not changes and not paper["changes"]["base"] and "own_base" not in paper:
        return adapter, index

    def own(section, name, **changes):
        config[section][f"{name}-{config['paper']}"] = _changed(config[section][name], changes)
        return f"{name}-{config['paper']}"

    if changes:
        dataset = own("datasets", dataset, **changes)
    if "own_base" in paper:
        if config["paper"] in config["bases"]:
            raise UserError(
                f"config: papers.{config['paper']}.own_base: gets the name {config['paper']}, "
                "but bases has this name too; rename one of them"
            )
        base = config["paper"]
        config["bases"][base] = {"dataset": dataset, **paper["own_base"]}
    else:
        base = own("bases", base, dataset=dataset, **paper["changes"]["base"])
    adapter = own("adapters", adapter, dataset=dataset, base=base)
    return adapter, own("indexes", index, dataset=dataset) if index and changes else index


def _benchmark(config, name):
    """The name of the base of a benchmark, which is made with its dataset."""
    entry = config["benchmarks"][name]
    for section in ("datasets", "bases"):
        if name in config[section]:
            raise UserError(f"config: benchmarks.{name}: is also a name in {section}; rename one")
    config["datasets"][name] = {"corpus": entry["corpus"]}
    seed = config["seeds"]["pretrain"]
    config["bases"][name] = {"dataset": name, "seed": seed, **entry["pretraining"]}
    return name


def _base(bases, name, seed):
    """The name of a base with a seed; one that is imported is the same for all."""
    return name if imported(bases[name]) else _variant(bases, name, seed=seed)


def _variant(entries, name, **changes):
    """The name of an entry with other values, which is made unless it is there."""
    entry = entries[name]
    changes = {key: value for key, value in changes.items() if entry.get(key) != value}
    if not changes:
        return name
    # An adapter's base differs in the seed, which the adapter has too.
    shown = {key: value for key, value in changes.items() if key != "base"} or changes
    new = "_".join([name, *(f"{key}-{_text(value)}" for key, value in shown.items())])
    entries[new] = _changed(entry, changes)
    return new


def _changed(entry, changes):
    """A copy of an entry with other values; cells train side by side, in one process each."""
    return {key: value for key, value in {**entry, **changes}.items() if key != "processes"}


def _text(value):
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)
