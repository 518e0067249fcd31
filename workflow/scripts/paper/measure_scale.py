"""Measures size, memory and speed of models of a shape, with random weights."""

import json


def measure_scale(measures, machine, *, shape, quantizations, rounds, threads):
    """Write size, memory and speed of a model with random weights, in each type.

    The models lie beside `measures` while they are measured, and each is removed then: room for
    F16 and one more is needed, at seven billion weights some 24 GB. One matrix is in memory at a
    time while they are made.

    Args:
        measures: JSON to write: type -> bytes, weights, bits_per_weight, and what
            `specialist.gguf.speed.measure` returns.
        machine: JSON to write: what this was measured on, see `specialist.core.hardware.describe`.
        shape: arguments of `specialist.gguf.random.write`.
        quantizations: llama.cpp's names of types; F16 is always measured.
        rounds: how often speed is taken.
        threads: CPU threads.
    """
    from specialist.core.hardware import describe
    from specialist.core.scratch import scratch
    from specialist.gguf import random as random_gguf
    from specialist.gguf import speed as generation
    from specialist.gguf.quantization import quantize

    found = {}
    with scratch(measures) as room:
        original = room / "F16.gguf"
        print("F16: writing random weights", flush=True)
        random_gguf.write(original, **shape)
        for kind in ["F16", *quantizations]:
            path = original.with_stem(kind)
            if path != original:
                print(f"{kind}: quantising", flush=True)
                quantize(original, path, type=kind, threads=threads)
            print(f"{kind}: generating, {1 + rounds} rounds", flush=True)
            found[kind] = _size(path) | generation.measure(path, rounds, threads)
            print(f"{kind}: {json.dumps(found[kind])}", flush=True)
            if path != original:
                path.unlink()
    measures.write_text(json.dumps(found, indent=1) + "\n")
    machine.write_text(json.dumps(describe() | {"threads": threads}, indent=1) + "\n")


def _size(path):
    from specialist.gguf.info import tensors

    stored = tensors(path)
    weights = sum(tensor["weights"] for tensor in stored)
    bits = 8 * sum(tensor["bytes"] for tensor in stored) / weights
    return {"bytes": path.stat().st_size, "weights": weights, "bits_per_weight": bits}


if "snakemake" in globals():
    from specialist.engine.step import run

    run(measure_scale, snakemake)
