"""Merges a LoRA adapter into its base, and checks that nothing else changed."""

# By the number format of the merged model: rounding weights to 16 bits moves logits by a few
# hundredths of their standard deviation, a wrong merge by more than a half.
LIMITS = {"F32": 1e-3, "F16": 0.05}


def merge_lora(
    model, config, adapter, adapter_config, tokenizer, text, merged, merged_config, gate, *, threads
):
    """Write the merged model, if its logits are those of base and adapter together.

    One matrix of the base is in memory at a time, and one layer when the logits are compared.

    Args:
        model, config: the base's files, in one folder.
        adapter, adapter_config: the adapter's files, in one folder.
        tokenizer: tokenizer.json of the base.
        text: JSONL with "text": what the logits are compared on.
        merged, merged_config: model.safetensors and config.json, written in one folder.
        gate: JSON of the gate "merge_logits": the largest difference between the logits of the
            adapter on its base and of the merged model, in standard deviations of the logits.

    Raises:
        UserError: the adapter has a matrix that the base has not, or the gate failed.
    """
    import json

    import torch
    from tokenizers import Tokenizer

    from specialist import gates
    from specialist.merging import merge
    from specialist.streaming import open_model
    from specialist.text import read_rows

    torch.set_num_threads(threads)
    bpe = Tokenizer.from_file(str(tokenizer))
    texts = [row["text"] for row in list(read_rows(text))[:8]]
    samples = [torch.tensor([encoded.ids[:512]]) for encoded in bpe.encode_batch(texts)]
    form = merge(model, config, adapter.parent, merged, merged_config)
    adapted, whole = open_model(model.parent, adapter.parent), open_model(merged.parent)
    differences = []
    with torch.inference_mode():
        for sample in samples:
            before, after = adapted(sample).logits, whole(sample).logits
            differences.append(((after - before).abs().max() / before.std()).item())
    checked = gates.check(
        f"the merge of {adapter.parent} into {model.parent}",
        "The adapter does not belong to this base, or the merge lost precision.",
        merge_logits=(max(differences), LIMITS[form]),
    )
    gate.write_text(json.dumps(checked, indent=1) + "\n")


if "snakemake" in globals():
    from specialist.step import run

    run(merge_lora, snakemake)
