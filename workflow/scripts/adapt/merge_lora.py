"""Merges a LoRA adapter into its base, and checks that nothing else changed."""

# By the number format of the merged model: rounding weights to 16 bits moves logits by a few
# hundredths of their standard deviation, a wrong merge by more than a half.
LIMITS = {"F32": 1e-3, "F16": 0.05}
# Nats. The adapter was trained on rounded weights and is merged into the original ones. The gate's
# value shows the cost, and the limit catches a wrong merge.
LOSS_LIMIT = 0.2
CONVERSATIONS = 16  # most conversations of this measure: the model is read again for every four


def merge_lora(
    model, config, adapter, adapter_config, tokenizer, tokenizer_config, chat_template, text,
    conversations, system_prompt, merged, merged_config, gate, *, method, threads,
):  # fmt: skip
    """Write the merged model, if its logits are those of base and adapter together.

    One matrix of the base is in memory at a time, and one layer when the logits are compared.

    Args:
        model, config: the base's files, in one folder; never quantised.
        adapter, adapter_config: the adapter's files, in one folder; after full fine-tuning the
            whole model's, which are taken as they are.
        tokenizer, tokenizer_config, chat_template: the tokenizer's files, in one folder.
        text: JSONL with "text": what the logits are compared on.
        conversations: held-out JSONL of {"messages": [...]}.
        system_prompt: text put before every conversation that has no system message.
        merged, merged_config: model.safetensors and config.json, written in one folder.
        gate: JSON of the gates "merge_logits": the largest difference between the logits of the
            adapter on its base and of the merged model, in standard deviations of the logits;
            for QLoRA also "merge_loss": how much higher the held-out loss of the merged model is
            than that of the adapter on the 4-bit base that it was trained on, in nats; none
            after full fine-tuning.
        method: of the adapter, see `specialist.train.adapters`.

    Raises:
        UserError: the adapter has a matrix that the base does not have, or a gate failed.
    """
    import json
    import shutil

    import torch
    from peft import PeftModel
    from tokenizers import Tokenizer

    from specialist.core import gates
    from specialist.core.text import read_rows
    from specialist.train.adapters import FULL, QLORA, load_base
    from specialist.train.merging import merge
    from specialist.train.streaming import open_model

    torch.set_num_threads(threads)
    if method == FULL:
        shutil.copyfile(adapter, merged)
        shutil.copyfile(adapter_config, merged_config)
        gate.write_text("{}\n")
        return
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
    figures = {"merge_logits": (max(differences), LIMITS[form])}
    if method == QLORA:
        found = _loss(whole, tokenizer, conversations, system_prompt)
        # Loaded after that, as a layer in fp32 and the base in 4 bits need as much memory.
        trained = PeftModel.from_pretrained(
            load_base(model.parent, method=method), adapter.parent
        ).eval()
        figures["merge_loss"] = (
            found - _loss(trained, tokenizer, conversations, system_prompt),
            LOSS_LIMIT,
        )
    checked = gates.check(
        f"the merge of {adapter.parent} into {model.parent}",
        "The adapter does not belong to this base, or the merge lost precision.",
        **figures,
    )
    gate.write_text(json.dumps(checked, indent=1) + "\n")


def _loss(network, tokenizer, conversations, system_prompt):
    """Held-out loss of a model, in nats per token of the assistant."""
    from transformers import AutoTokenizer

    from specialist.train.conversations import with_system_prompt
    from specialist.train.finetuning import assistant_loss

    processing = AutoTokenizer.from_pretrained(
        tokenizer.parent, local_files_only=True, trust_remote_code=False
    )
    rows = with_system_prompt(conversations, system_prompt.read_text(encoding="utf-8"))
    return assistant_loss(network, processing, rows[:CONVERSATIONS])


if "snakemake" in globals():
    from specialist.engine.step import run

    run(merge_lora, snakemake)
