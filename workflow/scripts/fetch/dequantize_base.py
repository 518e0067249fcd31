"""Imports the weights of a base from a GGUF."""

import json

# The reference is the same file in F16 by llama.cpp itself, so only rounding is left. A wrong
# order of rows, or a wrong size in config.json, moves a logit by more than half of the logits'
# standard deviation.
LOGIT_LIMIT = 0.05


def dequantize_base(
    source, tokenizer, tokenizer_config, chat_template, model, config, source_facts, gate,
    *, base, threads,
):  # fmt: skip
    """Write the weights of a GGUF as safetensors, after checking them against llama.cpp.

    Args:
        source: list with the GGUF.
        tokenizer, tokenizer_config, chat_template: of the base, in one folder.
        model, config: model.safetensors and config.json, written in one folder.
        source_facts: JSON to write: file, sha256, architecture, name, license, bits_per_weight,
            and types, {type: matrices}.
        gate: JSON of the gate "gguf_logits": the largest difference of logits between llama.cpp
            with the GGUF and Transformers with the safetensors, over their standard deviation.
        base: name of the base in the configuration.
        threads: CPU threads.

    Raises:
        UserError: the file cannot be used, or the gate failed.
    """
    import os

    from specialist.bases.gguf_source import dequantize, write_config
    from specialist.bases.weights import check_weights
    from specialist.core.files import sha256
    from specialist.core.gates import check
    from specialist.core.gguf_header import read_header
    from specialist.core.scratch import scratch
    from specialist.gguf.info import bits_per_weight, stored, tensors
    from specialist.gguf.quantization import to_f16

    place, [path] = f"bases.{base}", source
    header = read_header(place, path)
    with scratch(model) as room:
        write_config(place, header, room / "config.json")
        dequantize(place, header, room / "model.safetensors")
        check_weights(place, room, [room / "model.safetensors"])
        reference = room / "F16.gguf"
        to_f16(path, reference, threads=threads)
        gates = check(
            f"{place}: {path} in llama.cpp against its weights in Transformers",
            "The weights or sizes were read wrongly; import the original model by `path` or `hub`.",
            gguf_logits=(_difference(room, reference, tokenizer.parent, threads), LOGIT_LIMIT),
        )
        os.replace(room / "model.safetensors", model)
        os.replace(room / "config.json", config)
    facts = {
        "file": path.name,
        "sha256": sha256(path),
        "architecture": header.metadata["general.architecture"],
        "name": header.metadata.get("general.name"),
        "license": header.metadata.get("general.license"),
        "bits_per_weight": bits_per_weight(path),
        "types": stored(tensors(path)),
    }
    source_facts.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    gate.write_text(json.dumps(gates, indent=1) + "\n")


def _difference(folder, gguf, tokenizer, threads):
    """Largest difference of logits of a folder's model and a GGUF, on an agent's conversations."""
    from specialist.bases.templates import talks
    from specialist.bases.tokenizer import load_tokenizer
    from specialist.gguf.agreement import logit_difference
    from specialist.gguf.runtime import Runtime
    from specialist.train.streaming import open_model

    loaded, model = load_tokenizer("", tokenizer), open_model(folder)
    texts = [loaded.apply_chat_template(talk, tokenize=False) for talk in talks()]
    ids = loaded("".join(texts), add_special_tokens=False)["input_ids"]
    ids = ids[: model.config.max_position_embeddings]
    with Runtime(gguf, context=len(ids), threads=threads) as runtime:
        return logit_difference(model, runtime, ids)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(dequantize_base, snakemake)
