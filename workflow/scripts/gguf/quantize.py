"""Quantises an F16 GGUF."""


def quantize(f16, gguf, *, type, threads):
    """Write `gguf`, quantised to `type`; see `specialist.gguf.quantization.quantize`."""
    from specialist.gguf import quantization

    quantization.quantize(f16, gguf, type=type, threads=threads)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(quantize, snakemake)
