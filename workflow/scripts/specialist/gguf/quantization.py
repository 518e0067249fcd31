"""Quantising a GGUF in process with llama.cpp."""

import contextlib
import ctypes
import os

from specialist.core.errors import UserError
from specialist.gguf.info import bits_per_weight, quantizations, stored, tensors
from specialist.gguf.library import forget, library, reason


def quantize(f16, gguf, *, type, threads, strict=False, imatrix=None):
    """Write `gguf`, quantised to `type`.

    llama.cpp stores a tensor whose rows the type cannot take in a related type with smaller
    blocks, or in F16.

    Args:
        f16: GGUF to quantise.
        gguf: GGUF to write.
        type: llama.cpp's name of the quantisation, such as Q8_0 or Q4_K_M.
        threads: CPU threads; the bytes do not depend on them.
        strict: refuse a model with such tensors.
        imatrix: file of `specialist.gguf.imatrix.write`, or None.

    Raises:
        UserError: no such type; a row size that it cannot take, with `strict`; or llama.cpp's
            refusal (some types below four bits need an importance matrix).
    """
    known = quantizations()
    if type not in known:
        raise UserError(
            f"quantization {type!r} is unknown to llama.cpp, expected one of {sorted(known)}"
        )
    number, multiple = known[type]
    misfits = [
        tensor
        for tensor in tensors(f16)
        if tensor["type"] == "F16" and tensor["shape"][0] % multiple
    ]
    if misfits and strict:
        name, row = misfits[0]["name"], misfits[0]["shape"][0]
        raise UserError(
            f"{f16}: tensor {name}: its rows of {row} weights cannot be stored as {type}, which "
            f"takes multiples of {multiple}, and the quantization is `strict`; remove `strict`, "
            "or use a quantization with smaller blocks (Q8_0 takes multiples of 32)"
        )
    with _matrix(imatrix) as entries:
        _run(f16, gguf, type, threads, ftype=number, imatrix=entries)
    if misfits:
        print(
            f"{gguf.name}: {type} takes rows of multiples of {multiple}; llama.cpp stored "
            f"{len(misfits)} tensors with other rows in other types"
        )
    kinds = ", ".join(f"{count} {kind}" for kind, count in stored(tensors(gguf)).items())
    print(
        f"{gguf}: {gguf.stat().st_size:,} bytes, {bits_per_weight(gguf):.2f} bits per weight; "
        f"matrices: {kinds}"
    )


def to_f16(source, gguf, *, threads):
    """Write a GGUF of any type in F16, by llama.cpp's own dequantisation.

    Raises:
        UserError: llama.cpp cannot read the file.
    """
    number = 1  # LLAMA_FTYPE_MOSTLY_F16 of llama.h
    _run(source, gguf, "F16", threads, ftype=number, allow_requantize=True)


def _run(source, gguf, type, threads, **options):
    lib = library()
    params = lib.llama_model_quantize_default_params()
    for name, value in (options | {"nthread": threads}).items():
        setattr(params, name, value)
    unfinished = gguf.with_suffix(".unfinished")
    forget()
    try:
        if lib.llama_model_quantize(os.fsencode(source), os.fsencode(unfinished), params):
            raise UserError(f"{source}: llama.cpp refuses to quantise to {type}: {reason()}")
        os.replace(unfinished, gguf)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _matrix(path):
    """An importance matrix as llama.cpp takes it: an array of entries that ends with an empty one.

    Args:
        path: of the file, or None; then what is yielded is None.
    """
    if path is None:
        yield None
        return
    from specialist.gguf.imatrix import read

    lib, values = library(), read(path)
    entries = (lib.llama_model_imatrix_data * (len(values) + 1))()
    for entry, (name, column) in zip(entries, values.items(), strict=False):
        entry.name, entry.size = name.encode(), len(column)
        entry.data = column.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    yield entries
