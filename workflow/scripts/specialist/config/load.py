"""The configuration: checked against its schema and in itself, with defaults filled in."""

import copy
import functools
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.schema_errors import explain, near

SCHEMA = Path(__file__).resolve().parents[3] / "schemas" / "config.schema.yaml"
UNQUANTIZED = "F16"
# llama.cpp stores these types in blocks of 32 weights and all others in blocks of 256, which
# must divide the rows of every matrix.
SMALL_BLOCKS = {"Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL"}
# Those of the paper that are no sweeps.
OTHER_EXPERIMENTS = {
    "quantization", "stack", "retrieval", "scale", "pretraining", "benchmark",
}  # fmt: skip
# Of bases that are pretrained from scratch, and of those that are taken over.
SCRATCH = {"train_tokens": 1_800_000, "learning_rate": 0.01}
TAKEN_OVER = {"train_tokens": 0, "learning_rate": 0.00002}
LINEAR_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@functools.cache
def schema():
    """The schema of the configuration as a dict, references to its "$defs" put in place."""
    import yaml

    tree = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    definitions = tree.pop("$defs")

    def expand(node):
        if isinstance(node, list):
            return [expand(item) for item in node]
        if not isinstance(node, dict):
            return node
        node = {key: expand(value) for key, value in node.items()}
        if reference := node.pop("$ref", None):
            node = {**definitions[reference.rsplit("/", 1)[1]], **node}
        return node

    return expand(tree)


def load(config):
    """Check a configuration and complete it.

    Args:
        config: dict, as Snakemake read it; it is not changed. An entry of a section of
            names (adapters, systems, ...) that is None is left out: so an overlay can
            remove one.

    Returns:
        A new dict with every key of the schema that has a default. Every base, adapter and
        index has a "dataset", every base and adapter a "seed", and every system with a model a
        "quantization".

    Raises:
        UserError: lists every mistake by its place, with what is allowed there.
    """
    import jsonschema

    config, tree = copy.deepcopy(dict(config)), schema()
    for section in _named_sections():
        if isinstance(config.get(section), dict):
            config[section] = {k: v for k, v in config[section].items() if v is not None}
    errors = list(jsonschema.Draft202012Validator(tree).iter_errors(config))
    mistakes = {mistake for error in errors for mistake in explain(error)}
    for error in errors:
        _drop(config, error)
    _fill(config, tree)
    _fill_from_others(config)
    for check in (
        _check_names, _check_datasets, _check_bases, _check_models, _check_systems, _check_rows,
        _check_papers,
    ):  # fmt: skip
        for path, text in check(config):
            # A value that was refused already has left its surroundings incomplete.
            if not any(place[: len(path)] == path for place, _ in mistakes):
                mistakes.add((path, text))
    if mistakes:
        lines = sorted(f"{'.'.join(map(str, path))}: {text}" for path, text in mistakes)
        raise UserError("\n  ".join([f"config: {len(lines)} mistake(s)", *lines]))
    return config


def taken_over(base):
    """Whether an entry of `bases` is a model that exists already."""
    return "path" in base or "hub" in base


def _named_sections():
    """The sections whose keys are names that users give: section -> schema of an entry."""
    return {
        section: part["additionalProperties"]
        for section, part in schema()["properties"].items()
        if part.get("additionalProperties")
    }


def _drop(config, error):
    """Remove the value that an error is about, so that the rest can still be checked."""
    path = list(error.absolute_path)
    whole = ("additionalProperties", "required", "minProperties", "uniqueItems")
    if not path or error.validator in whole or "propertyNames" in error.absolute_schema_path:
        return
    parent = config
    for key in path[:-1]:
        parent = parent[key]
    if isinstance(parent, list):
        parent[path[-1]] = None
    elif len(path) == 2 and path[0] in _named_sections():
        parent[path[-1]] = {}  # what refers to the entry is right
    else:
        parent.pop(path[-1], None)


def _fill(value, part):
    """Set the defaults of a part of the schema in place."""
    if not isinstance(value, dict):
        return
    for key, child in part.get("properties", {}).items():
        if key not in value and "default" in child:
            value[key] = copy.deepcopy(child["default"])
        _fill(value.get(key), child)
    if isinstance(part.get("additionalProperties"), dict):
        for child in value.values():
            _fill(child, part["additionalProperties"])


def _fill_from_others(config):
    """Set the defaults that are the value of another key in place."""
    seeds = {"bases": "pretrain", "adapters": "lora"}
    for section, part in _named_sections().items():
        for entry in config.get(section, {}).values():
            if "dataset" in part["properties"] and "dataset" in config:
                entry.setdefault("dataset", config["dataset"])
            if section in seeds:
                entry.setdefault("seed", config["seeds"].get(seeds[section]))
            if section == "bases":
                for key, value in (TAKEN_OVER if taken_over(entry) else SCRATCH).items():
                    entry.setdefault(key, value)
            if section == "systems" and "policy" not in entry:
                entry.setdefault("quantization", UNQUANTIZED)


def _unknown(path, name, names):
    """Yield a mistake if a key names something that is not there."""
    if name is not None and name not in names:
        allowed = ", ".join(map(str, names)) or "nothing, as there is none"
        yield path, f"found {name}, expected one of {allowed}{near(name, names)}"


def _check_names(config):
    """Every name that refers to an entry, and the entries' names themselves."""
    entries = {section: config.get(section, {}) for section in _named_sections()}
    yield from _unknown(("dataset",), config.get("dataset"), entries["datasets"])
    yield from _unknown(("headline",), config.get("headline"), entries["systems"])
    target = {"dataset": "datasets", "base": "bases", "adapter": "adapters", "index": "indexes"}
    for section, named in entries.items():
        seen = {}
        for name, entry in named.items():
            if (other := seen.setdefault(str(name).lower(), name)) != name:
                yield (section, name), f"differs from {other} in case alone; rename one of them"
            for key, names in target.items():
                # A wrong `dataset` at the top is one mistake, not one for each that inherits it.
                if key != "dataset" or entry.get(key) != config.get("dataset"):
                    yield from _unknown((section, name, key), entry.get(key), entries[names])


def _missing(path, folder):
    """Yield a mistake if a key names a folder that is not there."""
    if not folder.is_dir():
        beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
        hint = near(folder, [path for path in beside if path.is_dir()])
        yield path, f"found {folder}, expected a folder that exists{hint}"


def _check_datasets(config):
    for name, entry in config.get("datasets", {}).items():
        given = [key for key in ("simulate", "path", "corpus") if key in entry]
        if len(given) != 1:
            yield (
                ("datasets", name),
                f"found {' and '.join(given) or 'none'}, expected one of simulate, path, corpus",
            )
        local = entry.get("corpus", {}).get("path")
        if local and not Path(local).is_file():
            yield (
                ("datasets", name, "corpus", "path"),
                f"found {local}, expected a file that exists; correct it, or remove it to have "
                "the file fetched from url",
            )
        for key in {"simulate", "path"}.intersection(given):
            yield from _missing(("datasets", name, key), Path(entry[key]))
        if "simulate" in given:
            sayings = Path(entry["simulate"]) / "sayings"
            names = sorted({path.stem for path in sayings.glob("*.yaml")} - {"train"})
            yield from _unknown(("datasets", name, "sayings"), entry["sayings"], names)
        if "path" not in given and entry["columns"]:
            yield ("datasets", name, "columns"), "is only for files under path; remove it"
        defaults = schema()["properties"]["datasets"]["additionalProperties"]["properties"]
        for key in ("documents", "episodes", "tasks", "sayings"):
            if "simulate" not in given and entry[key] != defaults[key]["default"]:
                yield ("datasets", name, key), "is only for a simulated dataset; remove it"


def _check_bases(config):
    """Where a base comes from, and what is said of it that it does not take."""
    properties = schema()["properties"]["bases"]["additionalProperties"]["properties"]
    for name, entry in config.get("bases", {}).items():
        if "path" in entry and "hub" in entry:
            yield ("bases", name), "found path and hub, expected one of them"
        if "hub" in entry and "revision" not in entry:
            yield (
                ("bases", name, "revision"),
                "is missing, expected the 40 digits of a commit; the page of the model's commits, "
                f"https://huggingface.co/{entry['hub']}/commits/main, shows them",
            )
        if "revision" in entry and "hub" not in entry:
            yield ("bases", name, "revision"), "is only for a base with hub; remove it"
        if not taken_over(entry) and not entry["train_tokens"]:
            yield ("bases", name, "train_tokens"), "found 0, expected at least 1"
        if "path" in entry:
            folder = Path(entry["path"])
            yield from _missing(("bases", name, "path"), folder)
            if folder.is_dir() and not (folder / "config.json").is_file():
                yield (
                    ("bases", name, "path"),
                    f"found {folder} without config.json, expected the folder of a model in the "
                    "form of Transformers",
                )
        for key in ("depth", "vocab_size", "muon_learning_rate"):
            if taken_over(entry) and entry[key] != properties[key]["default"]:
                yield ("bases", name, key), "is only for a base from scratch; remove it"
    for name, entry in config.get("adapters", {}).items():
        base, targets = config.get("bases", {}).get(entry.get("base"), {}), entry["target_modules"]
        if targets == "all-linear" or taken_over(base):  # train_lora looks at the model itself
            continue
        for place, layer in enumerate(targets):
            yield from _unknown(("adapters", name, "target_modules", place), layer, LINEAR_LAYERS)


def _check_models(config):
    """Sizes of bases, adapters and indexes against each other."""
    bases = config.get("bases", {})
    for name, entry in bases.items():
        for smaller, larger in (("sequence", "batch_tokens"), ("sequence", "context")):
            if entry[larger] < entry[smaller]:
                yield (
                    ("bases", name, larger),
                    f"found {entry[larger]}, expected at least {smaller}, {entry[smaller]}",
                )
    for name, entry in config.get("adapters", {}).items():
        context = bases.get(entry.get("base"), {}).get("context", entry["max_length"])
        if entry["max_length"] > context:
            yield (
                ("adapters", name, "max_length"),
                f"found {entry['max_length']}, expected at most the context of its base, {context}",
            )
        if "dpo" in entry and entry["method"] == "full":
            yield ("adapters", name, "dpo"), "needs an adapter, and method full has none; remove it"
    for name, entry in config.get("indexes", {}).items():
        found, size = entry["overlap_words"], entry["max_words"]
        if found >= size:
            yield (
                ("indexes", name, "overlap_words"),
                f"found {found}, expected less than max_words, {size}",
            )


def _check_systems(config):
    """What the systems are made of, and whether the agent fits them."""
    bases, adapters = config.get("bases", {}), config.get("adapters", {})
    types, agent = [UNQUANTIZED, *filter(None, config["quantizations"])], config["agent"]
    for name, entry in config.get("systems", {}).items():
        given = [key for key in ("policy", "base", "adapter") if key in entry]
        if len(given) != 1:
            yield (
                ("systems", name),
                f"found {' and '.join(given) or 'none'}, expected one of policy, base, adapter",
            )
        elif given == ["policy"] and "quantization" in entry:
            yield ("systems", name, "quantization"), "a policy has no model; remove it"
        yield from _unknown(("systems", name, "quantization"), entry.get("quantization"), types)
        base = entry.get("base") or adapters.get(entry.get("adapter"), {}).get("base")
        if base in bases and agent["context"] > bases[base]["context"]:
            yield (
                ("agent", "context"),
                f"found {agent['context']}, expected at most the context of {base}, "
                f"{bases[base]['context']}, as {name} runs it",
            )
    if agent["max_new_tokens"] >= agent["context"]:
        yield (
            ("agent", "max_new_tokens"),
            f"found {agent['max_new_tokens']}, expected less than context, {agent['context']}",
        )


def _check_rows(config):
    """Every matrix of a base must have rows that the quantised types can store."""
    from specialist.core.shape import shape

    def misfits(base, depth, block):
        sizes = shape(depth, base["vocab_size"])
        keys = ("hidden_size", "intermediate_size")
        return [f"{key} {sizes[key]}" for key in keys if sizes[key] % block]

    scratch = {n: base for n, base in config.get("bases", {}).items() if not taken_over(base)}
    for name, base in scratch.items():
        for kind in filter(None, config["quantizations"]):
            block = 32 if kind in SMALL_BLOCKS else 256
            if bad := misfits(base, base["depth"], block):
                fitting = [depth for depth in range(1, 65) if not misfits(base, depth, block)]
                nearest = min(fitting, key=lambda depth: abs(depth - base["depth"]), default=None)
                yield (
                    ("bases", name, "depth"),
                    f"found {base['depth']}, which gives {' and '.join(bad)}, but {kind} takes "
                    f"multiples of {block}; the nearest depth is {nearest}",
                )


def _check_papers(config):
    """The version that is chosen, and the lists that change in step."""
    papers = config.get("papers", {})
    if papers:
        yield from _unknown(("paper",), config["paper"], papers)
    for name, entry in papers.items():
        for key, names in (("scale", "shapes"), ("large", "shapes"), ("benchmarks", "benchmarks")):
            for place, value in enumerate(entry[key]):
                yield from _unknown(("papers", name, key, place), value, config[names])
        for sweep, lists in entry["sweeps"].items():
            if sweep in OTHER_EXPERIMENTS:
                yield ("papers", name, "sweeps", sweep), "is the name of another experiment"
            counts = {key: len(values) for key, values in lists.items()}
            if len(set(counts.values())) > 1:
                found = ", ".join(f"{count} of {key}" for key, count in counts.items())
                yield (
                    ("papers", name, "sweeps", sweep),
                    f"found {found}, expected as many values of each key",
                )
