"""Writes the metadata of a release into a GGUF: name, author, licence and base."""

import os


def describe_gguf(gguf, model, *, name, description, license, author, base):
    """Write `model`: the same weights, tokenizer and chat template, with more metadata.

    Args:
        gguf: the model as it was quantised.
        model: GGUF to write.
        name, description, license, author: texts of the metadata; an empty one is left out.
        base: name of the model that it was adapted from, or an empty text.
    """
    from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

    import gguf as gguf_py

    keys, kinds = gguf_py.Keys, gguf_py.GGUFValueType
    texts = {
        keys.General.NAME: name,
        keys.General.DESCRIPTION: description,
        keys.General.LICENSE: license,
        keys.General.AUTHOR: author,
        keys.General.BASE_MODEL_NAME.format(id=0): base,
    }
    added = {key: MetadataDetails(kinds.STRING, text) for key, text in texts.items() if text}
    if base:
        added[keys.General.BASE_MODEL_COUNT] = MetadataDetails(kinds.UINT32, 1)
    reader = gguf_py.GGUFReader(gguf)
    architecture = reader.get_field(keys.General.ARCHITECTURE).contents()
    unfinished = model.with_suffix(".unfinished")
    writer = gguf_py.GGUFWriter(unfinished, architecture, endianess=reader.endianess)
    if alignment := reader.get_field(keys.General.ALIGNMENT):
        writer.data_alignment = alignment.contents()
    try:
        copy_with_new_metadata(reader, writer, added, [])
        os.replace(unfinished, model)
    finally:
        unfinished.unlink(missing_ok=True)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(describe_gguf, snakemake)
