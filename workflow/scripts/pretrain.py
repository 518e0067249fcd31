"""Pretrains a base model from scratch."""


def pretrain(
    tokens, held_out_tokens, stats, tokenizer, model, config, curve, figures,
    *, depth, context, sequence, batch_tokens, train_tokens, learning_rate,
    muon_learning_rate, weight_decay, warmup_share, precision, seed, threads, checkpoints,
):  # fmt: skip
    """Train a Qwen3 model on packed documents that do not see each other.

    Args:
        tokens, held_out_tokens: .npy of token ids, documents ended by <|endoftext|>.
        stats: JSON of `tokenize_corpus`, for bits per byte.
        tokenizer: tokenizer.json, for the vocabulary and the end of a document.
        model, config: model.safetensors and config.json, written in one folder.
        curve: CSV of the loss of the batches, in nats per token, by step.
        figures: JSON to write: parameters, tokens seen, held-out loss and bits per byte.
        depth: number of layers; the other sizes follow from it.
        context: positions that the model is made for.
        sequence: tokens in a row of a training batch.
        batch_tokens, train_tokens: tokens in one optimizer step and in all.
        learning_rate: peak rate of AdamW, for embeddings and norms.
        muon_learning_rate: peak rate of Muon, for the matrices.
        weight_decay: decoupled weight decay of the matrices.
        warmup_share: share of the steps in which the rates rise.
        precision: "fp32", "bf16" or "auto" (bf16 where the processor computes in it).
        checkpoints: `specialist.checkpoint.Checkpoints`.
    """
    import json
    import math

    import numpy as np
    import torch
    from tokenizers import Tokenizer

    from specialist import attention, pretraining
    from specialist.model_shape import shape
    from specialist.progress import Progress
    from specialist.text import END_OF_TEXT

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bpe = Tokenizer.from_file(str(tokenizer))
    end = bpe.token_to_id(END_OF_TEXT)
    data = pretraining.Rows(np.load(tokens, mmap_mode="r"), end, sequence)
    network = pretraining.base_model(shape(depth, bpe.get_vocab_size()), context, end).to(device)
    network.set_attn_implementation(attention.implementation(precision))
    optimizers = pretraining.optimizers(network, learning_rate, muon_learning_rate, weight_decay)
    per_step = max(1, batch_tokens // sequence)
    steps = math.ceil(train_tokens / (per_step * sequence))
    order = data.order(steps * per_step, np.random.default_rng(seed))
    begin, losses = pretraining.resume(checkpoints.load(), network, optimizers)
    progress = Progress("pretrain", steps, begin)
    for step in range(begin, steps):
        batch = data.batch(order[step * per_step : (step + 1) * per_step], device)
        with pretraining.autocast(precision):
            loss = pretraining.loss_of(network, *batch)
        loss.backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * pretraining.rate(step, steps, warmup_share)
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        progress(step + 1, f"loss {losses[-1]:.3f}")
        if checkpoints.due():
            checkpoints.save(step + 1, pretraining.state(network, optimizers, losses))
    network.eval()
    held_out = pretraining.Rows(np.load(held_out_tokens, mmap_mode="r"), end, sequence)
    nats = pretraining.held_out_loss(network, held_out, precision, device)
    counts = json.loads(stats.read_text())["held_out"]
    result = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "tokens": steps * per_step * sequence,
        "held_out_loss": nats,
        "bits_per_byte": nats * counts["tokens"] / counts["bytes"] / math.log(2),
    }
    print(json.dumps(result))
    network.cpu().save_pretrained(model.parent, max_shard_size="1TB")
    figures.write_text(json.dumps(result, indent=1) + "\n")
    rows = (f"{step},{loss:.5f}" for step, loss in enumerate(losses, 1))
    curve.write_text("\n".join(["step,loss", *rows]) + "\n")


if "snakemake" in globals():
    from specialist.step import run

    run(pretrain, snakemake)
