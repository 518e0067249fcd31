"""Quantises an F16 GGUF."""


def quantize(f16, imatrix, gguf, *, settings, threads):
    """Write `gguf`, quantised; see `specialist.gguf.quantization.quantize`.

    Args:
        f16: GGUF to quantise.
        imatrix: importance matrix, or an empty list.
        gguf: GGUF to write.
        settings: `type`, llama.cpp's name, and `strict`.
        threads: CPU threads.
    """
    from specialist.gguf import quantization

    quantization.quantize(
        f16,
        gguf,
        type=settings.type,
        threads=threads,
        strict=settings.strict,
        imatrix=imatrix or None,
    )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(quantize, snakemake)
