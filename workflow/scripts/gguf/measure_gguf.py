"""Measures a quantised GGUF against the F16 one: size, quality on held-out text, speed."""

import json
from statistics import median

WINDOW = 512  # tokens in a window; longer texts are cut
PROMPT, GENERATED = 256, 128  # tokens of a round that is timed


def measure_gguf(f16, gguf, base, text, measures, *, tokens, rounds, threads):
    """Write size, quality and speed of a GGUF. `gguf` may be the F16 file itself.

    All but "speed" is the same in each run with the same number of threads.

    Args:
        f16: the F16 GGUF, the reference.
        gguf: the GGUF to measure.
        base: the F16 GGUF of the base that the model's adapter was merged into, or an empty list.
        text: JSONL with a "text" field, not seen in training.
        measures: JSON to write: bytes, bits_per_weight, ratio_to_f16 (of bytes), perplexity
            and f16_perplexity (per token), kl_mean (of F16 from this one, nats per token),
            same_top_token (share of tokens), tokens (how many were predicted), stored (type:
            number of matrices), base_kl_mean (as kl_mean, of the base from this one; None without
            a base), and under speed the tokens per second of both in generation and prompt, and
            their ratios.
        tokens: how many tokens of the text to use, from its start; whole windows.
        rounds: number of measurements of the speed of both files; medians count.
        threads: CPU threads.

    Raises:
        UserError: the text has too few tokens.
    """
    from specialist.core.errors import UserError
    from specialist.gguf.info import bits_per_weight, stored, tensors
    from specialist.gguf.runtime import Runtime

    with open(text, encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    with Runtime(f16, WINDOW, threads) as reference, Runtime(gguf, WINDOW, threads) as model:
        windows = _windows([reference.tokenize(text) for text in texts], tokens)
        if not windows:
            raise UserError(f"{text}: no text of two tokens or more; give held-out text")
        found = {
            "bytes": gguf.stat().st_size,
            "bits_per_weight": bits_per_weight(gguf),
            "ratio_to_f16": gguf.stat().st_size / f16.stat().st_size,
            "stored": stored(tensors(gguf)),
            **_quality(reference, model, windows),
            "base_kl_mean": None,
            "speed": _speed(reference, model, sum(windows, []), rounds),
        }
        if base:
            with Runtime(base, WINDOW, threads) as original:
                found["base_kl_mean"] = _quality(original, model, windows)["kl_mean"]
    measures.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def _windows(texts, tokens):
    """Texts cut into windows of token ids, `tokens` in all."""
    cut = [ids[i : i + WINDOW] for ids in texts for i in range(0, len(ids), WINDOW)]
    windows = []
    for ids in cut:
        if sum(map(len, windows)) >= tokens:
            break
        if len(ids) > 1:
            windows.append(ids)
    return windows


def _quality(reference, model, windows):
    """Perplexities, divergence and agreement over all predicted tokens of the windows."""
    import numpy as np
    from scipy.special import log_softmax

    nll, reference_nll, divergence, agreement = [], [], [], []
    for ids in windows:
        # Each position but the last predicts the next token.
        p, q = (
            log_softmax(runtime.logits(ids)[:-1].astype(np.float64), axis=1)
            for runtime in (reference, model)
        )
        rows = range(len(ids) - 1)
        reference_nll.append(-p[rows, ids[1:]])
        nll.append(-q[rows, ids[1:]])
        divergence.append((np.exp(p) * (p - q)).sum(axis=1))
        agreement.append(p.argmax(axis=1) == q.argmax(axis=1))
    return {
        "perplexity": float(np.exp(np.concatenate(nll).mean())),
        "f16_perplexity": float(np.exp(np.concatenate(reference_nll).mean())),
        "kl_mean": float(np.concatenate(divergence).mean()),
        "same_top_token": float(np.concatenate(agreement).mean()),
        "tokens": sum(len(ids) - 1 for ids in windows),
    }


def _speed(reference, model, ids, rounds):
    """Median tokens per second of both, measured in turns so that load affects both equally."""
    ids = (ids * (1 + (PROMPT + GENERATED) // len(ids)))[: PROMPT + GENERATED]
    seconds = {reference: [], model: []}
    for runtime in seconds:
        runtime.time(ids[:PROMPT], ids[PROMPT:])  # the first pass warms caches up
    for i in range(rounds):
        for runtime in (reference, model) if i % 2 else (model, reference):
            seconds[runtime].append(runtime.time(ids[:PROMPT], ids[PROMPT:]))
    prompt, generation = (
        {runtime: median(times[part] for times in taken) for runtime, taken in seconds.items()}
        for part in (0, 1)
    )
    return {
        "tokens_per_second": GENERATED / generation[model],
        "f16_tokens_per_second": GENERATED / generation[reference],
        "speedup_over_f16": generation[reference] / generation[model],
        "prompt_tokens_per_second": PROMPT / prompt[model],
        "f16_prompt_tokens_per_second": PROMPT / prompt[reference],
        "prompt_speedup_over_f16": prompt[reference] / prompt[model],
    }


if "snakemake" in globals():
    from specialist.engine.step import run

    run(measure_gguf, snakemake)
