"""Quantising a GGUF in process with llama.cpp."""

import os

from specialist.core.errors import UserError
from specialist.gguf.info import bits_per_weight, quantizations, tensors
from specialist.gguf.library import library, reason


def quantize(f16, gguf, *, type, threads):
    """Write `gguf`, quantised to `type`.

    llama.cpp would store a tensor whose rows the type cannot take in another type, so that
    a "4-bit" file is not one; such a model is refused here.

    Args:
        f16: GGUF to quantise.
        gguf: GGUF to write.
        type: llama.cpp's name of the quantisation, such as Q8_0 or Q4_K_M.
        threads: CPU threads; the bytes do not depend on them.

    Raises:
        UserError: no such type, a row size that it cannot take, or llama.cpp's refusal
            (some types below three bits need an importance matrix).
    """
    known = quantizations()
    if type not in known:
        raise UserError(
            f"quantization {type!r} is unknown to llama.cpp, expected one of {sorted(known)}"
        )
    number, multiple = known[type]
    for tensor in tensors(f16):
        row = tensor["shape"][0]
        if tensor["type"] == "F16" and row % multiple:
            raise UserError(
                f"{f16}: tensor {tensor['name']}: its rows of {row} weights cannot be stored as "
                f"{type}, which takes multiples of {multiple}; choose matching model sizes, "
                "or a quantization with smaller blocks (Q8_0 takes multiples of 32)"
            )
    lib = library()
    params = lib.llama_model_quantize_default_params()
    params.ftype, params.nthread = number, threads
    unfinished = gguf.with_suffix(".unfinished")
    try:
        if lib.llama_model_quantize(os.fsencode(f16), os.fsencode(unfinished), params):
            raise UserError(f"{f16}: llama.cpp refuses to quantise to {type}: {reason()}")
        os.replace(unfinished, gguf)
    finally:
        unfinished.unlink(missing_ok=True)
    print(f"{gguf}: {gguf.stat().st_size:,} bytes, {bits_per_weight(gguf):.2f} bits per weight")
