"""Importance matrices: how much each input of a linear layer matters, for quantisation.

The importance of an input is the mean of its square over the tokens of a text. The file is that
of llama.cpp's own tools (llama-imatrix, llama-quantize): a GGUF with the sum of the squares and
the number of tokens for each tensor.
"""

SUMS, COUNTS = ".in_sum2", ".counts"


def write(path, sums, count, *, conversations):
    """Write an importance matrix.

    Args:
        path: GGUF to write.
        sums: {llama.cpp's name of a tensor: float array, one sum of squares for each column}.
        count: tokens in the sums.
        conversations: how many conversations they are from.
    """
    import numpy as np

    from gguf import GGUFWriter

    writer = GGUFWriter(path, "imatrix")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["training conversations"])
    writer.add_uint32("imatrix.chunk_count", conversations)
    writer.add_uint32("imatrix.chunk_size", max(1, count // max(1, conversations)))
    for name, values in sorted(sums.items()):
        writer.add_tensor(name + SUMS, np.asarray(values, np.float32)[None])
        writer.add_tensor(name + COUNTS, np.asarray([[count]], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path):
    """{llama.cpp's name of a tensor: float32 array, the mean square of each column}."""
    import numpy as np

    from gguf import GGUFReader

    stored = {tensor.name: tensor.data.reshape(-1) for tensor in GGUFReader(path).tensors}
    return {
        name.removesuffix(SUMS): np.ascontiguousarray(
            values / stored[name.removesuffix(SUMS) + COUNTS], np.float32
        )
        for name, values in stored.items()
        if name.endswith(SUMS)
    }
