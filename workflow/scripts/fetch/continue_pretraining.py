"""Continues the pretraining of an imported base on the corpus of a dataset."""


def continue_pretraining(
    tokens, held_out_tokens, stats, tokenizer, tokenizer_config, start, start_config,
    model, config, curve, figures,
    *, settings, threads, checkpoints, tracking,
):  # fmt: skip
    """Train all weights with AdamW in fp32; this takes 16 bytes of memory per weight.

    Args:
        tokens, held_out_tokens: .npy of token ids, each document ended.
        stats: JSON of `tokenize_corpus`, for bits per byte.
        tokenizer, tokenizer_config: files of the base's tokenizer, for the end of a document.
        start, start_config: the base's model.safetensors and config.json, in one folder.
        model, config: the same of the trained one.
        curve: CSV of the loss of the batches, in nats per token, by step.
        figures: JSON to write, as that of `pretrain`.
        settings: `FurtherPretraining` in specialist/config/settings/bases.py says what each means.
        checkpoints: `specialist.engine.checkpoints.Checkpoints`.
        tracking: `specialist.engine.tracking.Tracking`.
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
    torch.manual_seed(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bpe = Tokenizer.from_file(str(tokenizer))
    end = end_of_text(bpe, special_tokens(tokenizer_config))
    data, held_out = (
        Rows(np.load(path, mmap_mode="r"), end, settings.sequence, what)
        for path, what in ((tokens, "text to train on"), (held_out_tokens, "held-out text"))
    )
    precision = settings.precision
    network = AutoModelForCausalLM.from_pretrained(
        start.parent,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype="float32",
        attn_implementation=attention.implementation(precision),
    ).to(device)
    matrices = [parameter for parameter in network.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in network.parameters() if parameter.ndim != 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95))
    trained = pretraining.train(
        network, pretraining.with_peaks([optimizer]), data, device, checkpoints, tracking,
        batch_tokens=settings.batch_tokens, train_tokens=settings.train_tokens,
        warmup_share=settings.warmup_share, precision=precision, seed=settings.seed,
        sample=partial(document, network, bpe, end, precision, settings.seed, device),
    )  # fmt: skip
    pretraining.finish(
        network, trained, held_out, stats, precision, device, tracking, model.parent, curve, figures
    )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(continue_pretraining, snakemake)
