"""What pretraining is made of: the initial model, optimizers, schedule, loss."""

import contextlib
import json

SAMPLES = 4  # in a training
RATES = ("learning_rate", "muon_learning_rate")  # of AdamW, and of Muon where it trains too


def base_model(sizes, context, end):
    """A Qwen3 model with fresh weights, its attention initialised to look up and to copy.

    Queries start equal to keys, so that a head first attends to tokens like the current one,
    and the output projection starts as the transpose of the values', so that it adds what it
    attended to: mimetic initialisation (Trockman and Kolter, 2023). One head of the first layer
    starts by attending to the previous token, so that the layers above can find what followed
    a token before: an induction head (Olsson and others, 2022). Together they bring about
    copying from context after a fraction of the tokens.

    Args:
        sizes: arguments of Qwen3Config, from `specialist.core.shape`.
        context: positions that the model is made for.
        end: token id that ends a document.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        **sizes,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        eos_token_id=end,
        bos_token_id=None,
        pad_token_id=None,
        use_cache=False,
        dtype="float32",
    )
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for layer in model.model.layers:
            attention = layer.self_attn
            attention.q_proj.weight.copy_(attention.k_proj.weight)
            torch.nn.init.orthogonal_(attention.v_proj.weight)
            attention.o_proj.weight.copy_(attention.v_proj.weight.T)
        _look_back(model)
    return model


def _look_back(model, frequencies=4):
    """Let the first head of the first layer attend to the previous token.

    All embeddings get a part in common, which the head's queries and keys turn into a constant
    vector each. Rotary positions then turn the two against each other: the query is set back
    by one position, so that they agree where the key stands one token earlier. Only the
    fastest frequencies tell neighbours apart.
    """
    import torch

    embeddings, attention = model.model.embed_tokens.weight, model.model.layers[0].self_attn
    common = torch.empty(embeddings.shape[1]).bernoulli_().mul_(2).sub_(1)
    embeddings += model.config.initializer_range * common
    angle = model.model.rotary_emb.inv_freq[:frequencies]
    key, query = torch.zeros(2, attention.head_dim)
    key[:frequencies] = 1
    query[:frequencies] = angle.cos()
    query[attention.head_dim // 2 :][:frequencies] = -angle.sin()
    head = attention.k_proj.weight[: attention.head_dim].clone()
    for projection, vector in ((attention.q_proj, query), (attention.k_proj, key)):
        constant = torch.outer(vector / vector.norm(), common / common.norm())
        projection.weight[: attention.head_dim] = 0.1 * head + head.norm() * constant


def optimizers(model, learning_rate, muon_learning_rate, weight_decay, precision):
    """Muon for the matrices inside the layers, AdamW for embeddings and norms.

    Args:
        precision: see `specialist.core.precision`.

    Returns:
        list of optimizers; each parameter group remembers its peak rate as "peak".
    """
    import torch

    from specialist.core.precision import computes_bf16
    from specialist.train.muon import Float32Muon

    muon = torch.optim.Muon if computes_bf16(precision) else Float32Muon
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        inner = parameter.ndim == 2 and "embed_tokens" not in name
        (matrices if inner else others).append(parameter)
    found = [
        # Three Newton-Schulz steps instead of five: a third off the optimizer's time, and no
        # difference to be seen in the loss.
        muon(matrices, lr=muon_learning_rate, weight_decay=weight_decay, ns_steps=3),
        torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    return with_peaks(found)


def with_peaks(optimizers):
    """Optimizers whose parameter groups remember their rate as "peak"."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def rate(step, steps, warmup_share, decay_share=0.7):
    """Factor of the peak learning rate: a linear rise, a plateau, a linear fall to the end."""
    rise = (step + 1) / max(1, round(warmup_share * steps))
    fall = (steps - step) / max(1, round(decay_share * steps))
    return min(1.0, rise, fall)


def rates(optimizers):
    """{name: learning rate} of the last step that the optimizers took; AdamW is the last."""
    used = (optimizer.param_groups[0]["lr"] for optimizer in reversed(optimizers))
    return dict(zip(RATES, used, strict=False))


def autocast(precision):
    """Context that computes matrix products in bf16 where `precision` says so."""
    import torch

    from specialist.core.precision import computes_bf16

    if not computes_bf16(precision):
        return contextlib.nullcontext()
    return torch.autocast("cuda" if torch.cuda.is_available() else "cpu", torch.bfloat16)


def loss_of(model, ids, positions):
    """Mean cross-entropy, in nats, of each row's tokens after its first.

    Args:
        ids, positions: int64 tensors [batch, sequence].
    """
    import torch

    hidden = model.model(input_ids=ids, position_ids=positions).last_hidden_state
    logits = model.lm_head(hidden[:, :-1]).float()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def held_out_loss(model, rows, precision, device, batch=4):
    """Mean loss over all rows, in nats per token."""
    import numpy as np
    import torch

    losses = []
    with torch.inference_mode(), autocast(precision):
        for numbers in np.split(np.arange(len(rows)), range(batch, len(rows), batch)):
            losses.append(loss_of(model, *rows.batch(numbers, device)).item() * len(numbers))
    return sum(losses) / len(rows)


def descend(loss, optimizers, share):
    """Take a step down the gradient of a loss, at a share of each group's peak rate."""
    loss.backward()
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share
        optimizer.step()
        optimizer.zero_grad()


def train(
    model, optimizers, data, device, checkpoints, tracking,
    *, batch_tokens, train_tokens, warmup_share, precision, seed, sample,
):  # fmt: skip
    """Train on rows in an order drawn by the seed, from the last checkpoint on.

    Args:
        model: a causal language model on `device`.
        optimizers: each parameter group has its peak rate as "peak".
        data: `specialist.train.rows.Rows`.
        checkpoints: `specialist.engine.checkpoints.Checkpoints`.
        tracking: `specialist.engine.tracking.Tracking`.
        batch_tokens, train_tokens: tokens in one optimizer step and in all.
        sample: function without arguments to a text that the model writes.

    Returns:
        (list of the batches' losses in nats per token, list of {"tokens": seen, "sample"}, number
        of tokens seen).
    """
    import math

    import numpy as np

    from specialist.core.progress import Progress

    per_step = max(1, batch_tokens // data.sequence)
    steps = math.ceil(train_tokens / (per_step * data.sequence))
    order = data.order(steps * per_step, np.random.default_rng(seed))
    begin, losses, samples = resume(checkpoints.load(), model, optimizers)
    shown = {math.ceil(steps * part / SAMPLES) for part in range(1, SAMPLES + 1)}
    progress = Progress("pretrain", steps, begin)
    tracking.begin(begin)
    for step in range(begin, steps):
        batch = data.batch(order[step * per_step : (step + 1) * per_step], device)
        with autocast(precision):
            loss = loss_of(model, *batch)
        descend(loss, optimizers, rate(step, steps, warmup_share))
        losses.append(loss.item())
        progress(step + 1, f"loss {losses[-1]:.3f}")
        if tracking.due(step + 1, steps):
            tracking.log(step + 1, {"loss": losses[-1], **rates(optimizers)})
        if step + 1 in shown:
            samples.append({"tokens": (step + 1) * per_step * data.sequence, "sample": sample()})
        if checkpoints.due():
            checkpoints.save(step + 1, state(model, optimizers, losses, samples))
    return losses, samples, steps * per_step * data.sequence


def finish(model, trained, held_out, stats, precision, device, tracking, folder, curve, figures):
    """Measure a trained model on the held-out part of its corpus, and write what came of it.

    Args:
        trained: what `train` returned.
        held_out: `specialist.train.rows.Rows`.
        stats: JSON of `tokenize_corpus`, for bits per byte.
        tracking: `specialist.engine.tracking.Tracking`.
        folder: where model.safetensors and config.json are written.
        curve: CSV of the losses by step.
        figures: JSON of parameters, tokens seen, held-out loss, bits per byte and samples.
    """
    import math

    losses, samples, tokens = trained
    model.eval()
    nats = held_out_loss(model, held_out, precision, device)
    tracking.log(len(losses), {"eval_loss": nats})
    counts = json.loads(stats.read_text())["held_out"]
    result = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "tokens": tokens,
        "held_out_loss": nats,
        "bits_per_byte": nats * counts["tokens"] / counts["bytes"] / math.log(2),
    }
    print(json.dumps(result))
    result["samples"] = samples
    model.cpu().save_pretrained(folder, max_shard_size="1TB")
    figures.write_text(json.dumps(result, indent=1) + "\n")
    rows = (f"{step},{loss:.5f}" for step, loss in enumerate(losses, 1))
    curve.write_text("\n".join(["step,loss", *rows]) + "\n")


def state(model, optimizers, losses, samples):
    """What `resume` needs to go on after the last of the losses.

    Nothing is drawn at random between the steps: the order of the rows is drawn before them, and
    samples have a generator of their own.
    """
    return {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "losses": losses,
        "samples": samples,
    }


def resume(kept, model, optimizers):
    """Take up a `state`, or begin if it is None.

    Returns:
        (number of steps that were taken, list of their losses, list of samples).
    """
    if kept is None:
        return 0, [], []
    model.load_state_dict(kept["model"])
    for optimizer, values in zip(optimizers, kept["optimizers"], strict=True):
        optimizer.load_state_dict(values)
    return len(kept["losses"]), kept["losses"], kept["samples"]
