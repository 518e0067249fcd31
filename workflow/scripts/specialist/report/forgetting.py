"""What an adapter costs in general language: bits per byte before and after it."""


def compare(text, general, kinds):
    """The figures for agent_eval.json.

    Args:
        text: path of the general text.
        general: outputs of measure_general: of the base, and of the adapter in each of `kinds`.
        kinds: types of the adapter's files, F16 first; none if nothing was measured.

    Returns:
        {"forgetting": {"text": {"path", "sha256", "bytes"}, "base": bits per byte of the base in
        F16, "types": {type: {"bits_per_byte", "ratio": to the base}}}}; {} if nothing was measured.
    """
    if not kinds:
        return {}
    base, *files = general
    before = base["bits_per_byte"]
    found = {
        "text": {"path": text, "sha256": base["sha256"], "bytes": base["bytes"]},
        "base": before,
        "types": {
            kind: {
                "bits_per_byte": found["bits_per_byte"],
                "ratio": found["bits_per_byte"] / before,
            }
            for kind, found in zip(kinds, files, strict=True)
        },
    }
    return {"forgetting": found}
