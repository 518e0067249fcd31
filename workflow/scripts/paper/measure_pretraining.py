"""Pretrains a base on one long text, and measures the held-out loss during training."""


def measure_pretraining(
    tokens, held_out_tokens, stats, tokenizer, curve, times,
    *, settings, threads,
):  # fmt: skip
    """Write bits per byte of the held-out text, and a sample, after each part of the training.

    The model, its optimizers and the schedule are those of `pretrain`. A row of a batch is a
    window that begins anywhere in the text. The held-out text is measured whole: it is cut into
    windows of `sequence` tokens, and each token is predicted once, from those before it in its
    window. There are no checkpoints: what is timed is not to be interrupted.

    Args:
        tokens, held_out_tokens: .npy of token ids, a text ended by <|endoftext|>.
        stats: JSON of `tokenize_corpus`, for the bytes of the held-out text.
        tokenizer: tokenizer.json.
        curve: JSONL to write: "tokens" seen, "bits_per_byte", "sample".
        times: JSONL to write: "tokens" seen, "seconds" from the making of the model on, those
            of the measurements left out.
        settings: as in `pretrain`; and `points`, how often it is measured, the last time at the
            end, and `sample_tokens`, the tokens of a sample.
        threads: CPU threads.

    Raises:
        UserError: a part of the text is shorter than one window.
    """
    import json
    import math
    import time

    import torch
    from tokenizers import Tokenizer

    from specialist.core.progress import Progress
    from specialist.core.shape import shape
    from specialist.core.text import END_OF_TEXT, write_rows
    from specialist.train import attention, language, pretraining

    torch.set_num_threads(threads)
    torch.manual_seed(settings.seed)
    sequence, precision, points = settings.sequence, settings.precision, settings.points
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bpe = Tokenizer.from_file(str(tokenizer))
    end = bpe.token_to_id(END_OF_TEXT)
    text, held_out = (language.one_text(path, sequence) for path in (tokens, held_out_tokens))
    size = json.loads(stats.read_text())["held_out"]["bytes"]
    per_step = max(1, settings.batch_tokens // sequence) * sequence
    steps = math.ceil(settings.train_tokens / per_step)
    measured = {round(steps * part / points) for part in range(1, points + 1)}
    found, clock, progress = [], [], Progress("measure_pretraining", steps)
    seconds, begin = 0.0, time.perf_counter()
    sizes = shape(settings.depth, bpe.get_vocab_size())
    network = pretraining.base_model(sizes, settings.context, end).to(device)
    network.set_attn_implementation(attention.implementation(precision))
    training = language.training(
        network, text, steps=steps, batch_tokens=settings.batch_tokens, sequence=sequence,
        learning_rate=settings.learning_rate, muon_learning_rate=settings.muon_learning_rate,
        weight_decay=settings.weight_decay, warmup_share=settings.warmup_share,
        precision=precision, seed=settings.seed, device=device,
    )  # fmt: skip
    for step, loss in enumerate(training, 1):
        progress(step, f"loss {loss:.3f}")
        if step not in measured:
            continue
        seconds += time.perf_counter() - begin
        seen = step * per_step
        nats, ids = _look(network, held_out, bpe.encode("\n").ids, settings, device)
        bits = nats / math.log(2) / size
        found.append({"tokens": seen, "bits_per_byte": bits, "sample": bpe.decode(ids).strip()})
        clock.append({"tokens": seen, "seconds": round(seconds, 2)})
        print(f"{seen} tokens, {seconds:.1f} s: {bits:.3f} bits per byte")
        begin = time.perf_counter()
    write_rows(curve, found)
    write_rows(times, clock)


def _look(network, held_out, begin, settings, device):
    """(nats of the held-out text, token ids of a sample that follow `begin`)"""
    import functools

    from specialist.train import language, pretraining
    from specialist.train.sampling import sample

    network.eval()
    with pretraining.autocast(settings.precision):
        loss_of = functools.partial(language.loss_of, network)
        nats = language.nats_of(loss_of, held_out, settings.sequence, device)
        ids = sample(network, begin, settings.sample_tokens, settings.seed, device)
    network.train()
    return nats, ids


if "snakemake" in globals():
    from specialist.engine.step import run

    run(measure_pretraining, snakemake)
