"""Contents of a GGUF and the known quantisations, from llama.cpp's gguf package."""

import re

from specialist.core.errors import UserError


def quantizations():
    """llama.cpp's quantised file types: name -> (its number, what row sizes must divide by).

    A mixed type such as Q4_K_M is made of types with blocks of 256 weights.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

    types = {t.name.removeprefix("MOSTLY_"): t.value for t in LlamaFileType}
    blocks = {t.name: GGML_QUANT_SIZES[t][0] for t in GGMLQuantizationType}
    return {
        name: (number, blocks.get(name, 256))
        for name, number in types.items()
        if re.match(r"[IT]?Q\d", name)
    }


def tensors(path):
    """The tensors of a GGUF, in its order.

    Returns:
        list of dict: name, type ("F16", "Q4_K", ...), shape (row size first), weights
        (their number), bytes, bits_per_weight (with the scales of its blocks).

    Raises:
        UserError: the file is not a GGUF, or is damaged.
    """
    from gguf import GGUFReader

    try:
        found = GGUFReader(path).tensors
    except Exception as error:  # its reader trusts every length and offset in the file
        raise UserError(
            f"{path}: damaged, cut off or not a GGUF ({type(error).__name__}: {error}); remove it "
            "and run again, or download it again"
        ) from None
    return [
        {
            "name": tensor.name,
            "type": tensor.tensor_type.name,
            "shape": tensor.shape.tolist(),
            "weights": int(tensor.n_elements),
            "bytes": int(tensor.n_bytes),
            "bits_per_weight": 8 * int(tensor.n_bytes) / int(tensor.n_elements),
        }
        for tensor in found
    ]


def bits_per_weight(path):
    """Bits per weight over all tensors as stored, norms and embeddings too; no metadata."""
    found = tensors(path)
    return 8 * sum(t["bytes"] for t in found) / sum(t["weights"] for t in found)


def stored(found):
    """{type: number of matrices} of what `tensors` returned, the most frequent first."""
    kinds = [tensor["type"] for tensor in found if len(tensor["shape"]) > 1]
    order = sorted({*kinds}, key=lambda kind: (-kinds.count(kind), kind))
    return {kind: kinds.count(kind) for kind in order}
