"""Which systems differ in one part alone."""


def identity(entry):
    """What a system is, from its entry in the configuration: all but how often it runs a task.

    The outcomes of systems are those of the first trial, so the number of trials does not matter.
    """
    return {key: value for key, value in entry.items() if key != "trials"}


def twins(entries, quantization):
    """Yield (system, the same system with a model of the given type), for all others.

    Args:
        entries: `systems` of the configuration.
        quantization: a type, such as F16.
    """
    # The type of a served model is that of the file that it is compared with.
    known = {name: identity(entry) for name, entry in entries.items() if "engine" not in entry}
    for name, entry in known.items():
        twin = {**entry, "quantization": quantization}
        yield from ((name, other) for other, given in known.items() if given == twin != entry)
