"""Measures the losses of an adapter on its data, on held-out data and on the base's corpus."""


def evaluate_adapter(
    model, config, tokenizer, tokenizer_config, chat_template, conversations, held_out,
    system_prompt, held_out_tokens, stats, pretraining, training, evaluation,
    *, examples, sequence, precision, seed, threads,
):  # fmt: skip
    """Write the losses of an adapter that was merged into its base.

    Args:
        model, config: the merged model's files, in one folder.
        tokenizer, tokenizer_config, chat_template: the tokenizer's files, in one folder.
        conversations, held_out: JSONL of {"messages": [...]}.
        system_prompt: text put before every conversation that has no system message.
        held_out_tokens: .npy of the held-out part of the base's corpus.
        stats: JSON of `tokenize_corpus`.
        pretraining: JSON of pretrain.
        training: JSON of train_lora.
        evaluation: JSON to write: held_out_loss and train_loss (nats for each token of the
            assistant; the second on as many of the adapter's own conversations as are held
            out), gap (their difference), corpus_bits_per_byte (of the base's held-out corpus),
            forgotten (how many more these are than before) and trainable_share (of the
            parameters).
        examples, seed: which conversations the adapter learned from, as train_lora has them.
        sequence, precision: of the base, so that its corpus is measured as it was then.
    """
    import json
    import math

    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from specialist.core.text import END_OF_TEXT
    from specialist.train.conversations import draw, with_system_prompt
    from specialist.train.finetuning import assistant_loss
    from specialist.train.pretraining import held_out_loss
    from specialist.train.rows import Rows

    torch.set_num_threads(threads)
    prompt = system_prompt.read_text(encoding="utf-8")
    processing = AutoTokenizer.from_pretrained(
        tokenizer.parent, local_files_only=True, trust_remote_code=False
    )
    network = AutoModelForCausalLM.from_pretrained(
        model.parent,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype="float32",
    ).eval()
    learned, unseen = (with_system_prompt(path, prompt) for path in (conversations, held_out))
    seen = [learned[number] for number in draw(len(learned), examples, seed)[: len(unseen)]]
    losses = {
        "held_out_loss": assistant_loss(network, processing, unseen),
        "train_loss": assistant_loss(network, processing, seen),
    }
    counts = json.loads(stats.read_text())["held_out"]
    end = processing.convert_tokens_to_ids(END_OF_TEXT)
    rows = Rows(np.load(held_out_tokens, mmap_mode="r"), end, sequence)
    nats = held_out_loss(network, rows, precision, torch.device("cpu"))
    bits = nats * counts["tokens"] / counts["bytes"] / math.log(2)
    result = {
        **losses,
        "gap": losses["held_out_loss"] - losses["train_loss"],
        "corpus_bits_per_byte": bits,
        "forgotten": bits - json.loads(pretraining.read_text())["bits_per_byte"],
        "trainable_share": json.loads(training.read_text())["trainable_share"],
    }
    evaluation.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if "snakemake" in globals():
    from specialist.engine.step import run

    run(evaluate_adapter, snakemake)
