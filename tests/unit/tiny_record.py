"""A record of a job, as steps write it."""


def record(rule="pretrain", **values):
    """A whole record; `values` take the place of its own."""
    return {
        "rule": rule,
        "wildcards": {},
        "params": {"code": f"0 {rule}.py"},
        "code": {},
        "inputs": {},
        "outputs": {},
        "start_s": 1,
        "import_s": 0,
        "compute_s": 9,
        "peak_memory_mb": 1200,
    } | values
