"""Converts an embedding model to a GGUF; the agent embeds queries with llama.cpp."""

from specialist.core.errors import UserError


def convert_encoder(weights, encoder, *, model):
    """Write the GGUF of an embedding model; measure_retrieval checks what it computes.

    Importing sentence-transformers takes longer than answering a few hundred tasks, and
    the agent has llama.cpp loaded anyway.

    Args:
        weights: files of the model if `model` names a folder, so that a change in them counts;
            an empty list for a model that is named by its version.
        encoder: F16 GGUF to write.
        model: "package:NAME", "path:FOLDER" or "hub:ID@REVISION".

    Raises:
        UserError: there is no such model, or llama.cpp does not know its architecture.
    """
    from specialist.gguf.converter import convert
    from specialist.rag.embedding import locate_model

    folder = locate_model(model)
    try:
        convert(folder, encoder, name=model)
    except UserError as error:
        raise UserError(
            f"embedding {model}: {error}; or set `encoder: sentence-transformers` for the "
            "index, which starts more slowly but runs every model"
        ) from error


if "snakemake" in globals():
    from specialist.engine.step import run

    run(convert_encoder, snakemake)
