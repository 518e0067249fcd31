"""Pretrains a base model from scratch."""


def pretrain(
    tokens, held_out_tokens, stats, tokenizer, model, config, curve, figures,
    *, settings, threads, checkpoints, tracking,
):  # fmt: skip
    """Train a Qwen3 model on packed documents that do not see each other.

    Args:
        tokens, held_out_tokens: .npy of token ids, documents ended by <|endoftext|>.
        stats: JSON of `tokenize_corpus`, for bits per byte.
        tokenizer: tokenizer.json, for the vocabulary and the end of a document.
        model, config: model.safetensors and config.json, written in one folder.
        curve: CSV of the loss of the batches, in nats per token, by step.
        figures: JSON to write: parameters, tokens seen, held-out loss, bits per byte, and samples
            of what the model wrote as it learned.
        settings: `Pretraining` in specialist/config/settings/bases.py says what each means.
        checkpoints: `specialist.engine.checkpoints.Checkpoints`.
        tracking: `specialist.engine.tracking.Tracking`.
    """
    from functools import partial

    import numpy as np
    import torch
    from tokenizers import Tokenizer

    from specialist.core.shape import shape
    from specialist.core.text import END_OF_TEXT
    from specialist.train import attention, pretraining
    from specialist.train.rows import Rows
    from specialist.train.sampling import document

    torch.set_num_threads(threads)
    torch.manual_seed(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bpe = Tokenizer.from_file(str(tokenizer))
    end = bpe.token_to_id(END_OF_TEXT)
    data, held_out = (
        Rows(np.load(path, mmap_mode="r"), end, settings.sequence, what)
        for path, what in ((tokens, "text to train on"), (held_out_tokens, "held-out text"))
    )
    sizes, precision = shape(settings.depth, bpe.get_vocab_size()), settings.precision
    network = pretraining.base_model(sizes, settings.context, end).to(device)
    network.set_attn_implementation(attention.implementation(precision))
    optimizers = pretraining.optimizers(
        network,
        settings.learning_rate,
        settings.muon_learning_rate,
        settings.weight_decay,
        precision,
    )
    trained = pretraining.train(
        network, optimizers, data, device, checkpoints, tracking,
        batch_tokens=settings.batch_tokens, train_tokens=settings.train_tokens,
        warmup_share=settings.warmup_share, precision=precision, seed=settings.seed,
        sample=partial(document, network, bpe, end, precision, settings.seed, device),
    )  # fmt: skip
    pretraining.finish(
        network, trained, held_out, stats, precision, device, tracking, model.parent, curve, figures
    )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(pretrain, snakemake)
