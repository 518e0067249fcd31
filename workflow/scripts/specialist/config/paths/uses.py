"""The use of each part of a dataset; one message names every missing part."""

SHOWN = 3  # names of a kind in one line
# What each part of a user's folder adds, by the name of its file or folder.
ADDS = {
    "kb/": "documents that the agent searches: *.md, *.txt, *.html, *.pdf, *.docx, *.csv, *.xlsx",
    "tickets/": "mails (*.mbox, *.eml), tables or texts of customers: most become texts for a "
    "base, and prepared/tickets.held_out.jsonl has messages from which you can write tasks",
    "tasks.jsonl": "questions and what must be true afterwards; every evaluation needs them",
    "sft.jsonl": "training conversations; with them an adapter is trained",
    "corpus/": "texts to pretrain a base from scratch; without them it learns the default corpus",
    "tools.yaml": "what the agent may do, as SQL with guards; without it the agent only answers",
    "database.sql": "schema and rows that the tools work on",
    "preferences.jsonl": "pairs of answers; with `dpo` an adapter learns to prefer the better one",
}
OVERLAYS = "config/search-only.yaml, config/classify.yaml or config/tools-only.yaml"


def uses(config, dataset):
    """The parts of a dataset that the systems of a configuration need.

    Returns:
        {part: text} of the parts in use: what each is needed for, and how to do without it.
    """
    systems = config["systems"]
    adapters = _of(config, "adapters", {s["adapter"] for s in systems.values() if "adapter" in s})
    standing = {entry["base"] for entry in adapters.values()}
    bases = _of(config, "bases", standing | {s["base"] for s in systems.values() if "base" in s})
    indexes = _of(config, "indexes", {s["index"] for s in systems.values() if "index" in s})
    learn = {name: entry for name, entry in bases.items() if entry["train_tokens"]}
    prefer = {name: entry for name, entry in adapters.items() if "dpo" in entry}
    found = {
        "corpus": _names("bases", learn, dataset)
        and f"pretrains {_names('bases', learn, dataset)}; a base can learn from another dataset "
        "(`dataset` in its entry), or be imported (`path`, `hub`, `gguf` or `package`)",
        "sft": _names("adapters", adapters, dataset)
        and f"trains {_names('adapters', adapters, dataset)}",
        "preferences": _names("adapters", prefer, dataset)
        and f"trains the second stage of {_names('adapters', prefer, dataset)}; remove `dpo` to "
        "train without it",
        "kb": _names("indexes", indexes, dataset)
        and f"is searched by {_names('indexes', indexes, dataset)}; set `index: null` in the "
        "systems to run without a search",
        "tasks": dataset == config["dataset"] and "compares the systems",
    }
    return {part: text for part, text in found.items() if text}


def _of(config, section, names):
    entries = config[section].items()
    return {name: entry for name, entry in entries if name in names}


def _names(section, entries, dataset):
    """The entries of a dataset, in words; empty if there are none."""
    names = [f"{section}.{name}" for name, entry in entries.items() if entry["dataset"] == dataset]
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ", ".join([*names[:SHOWN], *more])
