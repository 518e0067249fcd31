"""Measures the losses of an adapter on its data, on held-out data and on the base's corpus."""


def evaluate_adapter(
    model, config, tokenizer, tokenizer_config, chat_template, conversations, held_out,
    system_prompt, held_out_tokens, stats, pretraining, base, base_config, training, evaluation,
    *, examples, sequence, precision, seed, threads,
):  # fmt: skip
    """Write the losses of an adapter that was merged into its base.

    Args:
        model, config: the merged model's files, in one folder.
        tokenizer, tokenizer_config, chat_template: the tokenizer's files, in one folder.
        conversations, held_out: JSONL of {"messages": [...]}.
        system_prompt: text put before every conversation that has no system message.
        held_out_tokens: .npy of held-out documents of the dataset, or an empty list.
        stats: JSON of `tokenize_corpus`, or an empty list.
        pretraining: JSON of pretrain, or an empty list for a base that was not pretrained here.
        base, base_config: the files of such a base, in one folder; or empty lists.
        training: JSON of train_lora.
        evaluation: JSON to write: held_out_loss and train_loss (nats for each token of the
            assistant; the second on as many of the adapter's own conversations as are held
            out), gap (their difference), trainable_share (of the parameters), and with held-out
            documents corpus_bits_per_byte (of their text) and forgotten (how many more these are
            than with the base).
        examples, seed: which conversations the adapter learned from, as train_lora has them.
        sequence, precision: of the base, so that its corpus is measured as it was then.
    """
    import json

    import torch
    from transformers import AutoTokenizer

    from specialist.train.conversations import draw, with_system_prompt
    from specialist.train.finetuning import assistant_loss

    torch.set_num_threads(threads)
    prompt = system_prompt.read_text(encoding="utf-8")
    processing = AutoTokenizer.from_pretrained(
        tokenizer.parent, local_files_only=True, trust_remote_code=False
    )
    network = _network(model)
    learned, unseen = (with_system_prompt(path, prompt) for path in (conversations, held_out))
    seen = [learned[number] for number in draw(len(learned), examples, seed)[: len(unseen)]]
    result = {
        "held_out_loss": assistant_loss(network, processing, unseen),
        "train_loss": assistant_loss(network, processing, seen),
        "trainable_share": json.loads(training.read_text())["trainable_share"],
    }
    result["gap"] = result["held_out_loss"] - result["train_loss"]
    if held_out_tokens:
        measured = tokenizer, tokenizer_config, held_out_tokens, stats, sequence, precision
        bits = _bits_per_byte(network, *measured)
        if pretraining:
            before = json.loads(pretraining.read_text())["bits_per_byte"]
        else:
            before = _bits_per_byte(_network(base), *measured)
        result |= {"corpus_bits_per_byte": bits, "forgotten": bits - before}
    evaluation.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def _network(model):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        model.parent,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype="float32",
    ).eval()


def _bits_per_byte(
    network, tokenizer, tokenizer_config, held_out_tokens, stats, sequence, precision
):
    """Bits per byte of held-out documents."""
    import json
    import math

    import numpy as np
    import torch
    from tokenizers import Tokenizer

    from specialist.core.text import end_of_text, special_tokens
    from specialist.train.pretraining import held_out_loss
    from specialist.train.rows import Rows

    counts = json.loads(stats.read_text())["held_out"]
    end = end_of_text(Tokenizer.from_file(str(tokenizer)), special_tokens(tokenizer_config))
    rows = Rows(np.load(held_out_tokens, mmap_mode="r"), end, sequence, what="held-out documents")
    nats = held_out_loss(network, rows, precision, torch.device("cpu"))
    return nats * counts["tokens"] / counts["bytes"] / math.log(2)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(evaluate_adapter, snakemake)
