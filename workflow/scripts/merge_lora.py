"""Merges a LoRA adapter into its base, and checks that nothing else changed."""


def merge_lora(
    model, config, adapter, adapter_config, tokenizer, text, merged, merged_config, gate, *, threads
):
    """Write the merged model, if its logits are those of base and adapter together.

    Args:
        model, config: the base's files, in one folder.
        adapter, adapter_config: the adapter's files, in one folder.
        tokenizer: tokenizer.json of the base.
        text: JSONL with "text": what the logits are compared on.
        merged, merged_config: model.safetensors and config.json, written in one folder.
        gate: JSON of the gate "merge_logits": the largest difference between the logits of the
            adapter on its base and of the merged model, in standard deviations of the logits.

    Raises:
        UserError: the gate failed.
    """
    import json

    import torch
    from peft import PeftModel
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    from specialist import gates
    from specialist.text import read_rows

    torch.set_num_threads(threads)
    bpe = Tokenizer.from_file(str(tokenizer))
    texts = [row["text"] for row in list(read_rows(text))[:8]]
    samples = [torch.tensor([encoded.ids[:512]]) for encoded in bpe.encode_batch(texts)]
    base = AutoModelForCausalLM.from_pretrained(
        model.parent, local_files_only=True, use_safetensors=True, dtype="float32"
    )
    adapted = PeftModel.from_pretrained(base, adapter.parent).eval()
    with torch.inference_mode():
        before = [adapted(sample).logits for sample in samples]
        whole = adapted.merge_and_unload(safe_merge=True)
        after = [whole(sample).logits for sample in samples]
    difference = max(
        ((a - b).abs().max() / b.std()).item() for a, b in zip(after, before, strict=True)
    )
    checked = gates.check(
        f"the merge of {adapter.parent} into {model.parent}",
        "The adapter does not belong to this base, or the merge lost precision.",
        merge_logits=(difference, 1e-3),
    )
    # One file, whatever the size: Snakemake compares named files by content.
    whole.save_pretrained(merged.parent, max_shard_size="1TB")
    gate.write_text(json.dumps(checked, indent=1) + "\n")


if "snakemake" in globals():
    from specialist.step import run

    run(merge_lora, snakemake)
