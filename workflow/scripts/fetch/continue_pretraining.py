"""Pretrains a base that was taken over further, on the corpus of a dataset."""


def continue_pretraining(
    tokens, held_out_tokens, stats, tokenizer, tokenizer_config, start, start_config,
    model, config, curve, figures,
    *, sequence, batch_tokens, train_tokens, learning_rate, weight_decay, warmup_share,
    precision, seed, threads, checkpoints,
):  # fmt: skip
    """Train all weights by AdamW, in fp32: 16 bytes of memory for each of them.

    Args:
        tokens, held_out_tokens: .npy of token ids, each document ended.
        stats: JSON of `tokenize_corpus`, for bits per byte.
        tokenizer, tokenizer_config: files of the base's tokenizer, for the end of a document.
        start, start_config: the base's model.safetensors and config.json, in one folder.
        model, config: the same of the trained one.
        curve: CSV of the loss of the batches, in nats per token, by step.
        figures: JSON to write, as that of `pretrain`.
        sequence: tokens in a row of a training batch.
        batch_tokens, train_tokens: tokens in one optimizer step and in all.
        learning_rate: peak rate.
        weight_decay: decoupled weight decay of the matrices.
        warmup_share: share of the steps in which the rate rises.
        precision: "fp32", "bf16" or "auto" (bf16 where the processor computes in it).
        checkpoints: `specialist.engine.checkpoints.Checkpoints`.
    """
    from functools import partial

    import numpy as np
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    from specialist.core.text import end_of_text, special_tokens
    from specialist.train import attention, pretraining
    from specialist.train.rows import Rows
    from specialist.train.sampling import document

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bpe = Tokenizer.from_file(str(tokenizer))
    end = end_of_text(bpe, special_tokens(tokenizer_config))
    data, held_out = (
        Rows(np.load(path, mmap_mode="r"), end, sequence, what)
        for path, what in ((tokens, "text to train on"), (held_out_tokens, "held-out text"))
    )
    network = AutoModelForCausalLM.from_pretrained(
        start.parent,
        local_files_only=True,
        use_safetensors=True,
        dtype="float32",
        attn_implementation=attention.implementation(precision),
    ).to(device)
    groups = [
        {"params": [p for p in network.parameters() if p.ndim == 2], "weight_decay": weight_decay},
        {"params": [p for p in network.parameters() if p.ndim != 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95))
    trained = pretraining.train(
        network, pretraining.with_peaks([optimizer]), data, device, checkpoints,
        batch_tokens=batch_tokens, train_tokens=train_tokens, warmup_share=warmup_share,
        precision=precision, seed=seed,
        sample=partial(document, network, bpe, end, precision, seed, device),
    )  # fmt: skip
    pretraining.finish(
        network, trained, held_out, stats, precision, device, model.parent, curve, figures
    )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(continue_pretraining, snakemake)
