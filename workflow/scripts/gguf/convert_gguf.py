"""Converts a Hugging Face model to an F16 GGUF with llama.cpp's own converter, and checks it."""

import json
import os

LOGIT_TOKENS = 512
# Rounding the weights of a trained model to F16 moves a logit by at most a hundredth of the logits'
# standard deviation. A wrongly converted tensor or setting moves it by more than a half.
LOGIT_LIMIT = 0.05


def convert_gguf(
    model, config, tokenizer, tokenizer_config, chat_template, sentencepiece, text, gguf, gate,
    *, name, threads,
):  # fmt: skip
    """Write `gguf`, after checking that it computes the same as the model.

    Args:
        model, config, tokenizer, tokenizer_config, chat_template: files of a Hugging Face
            model: weights (safetensors), config.json, tokenizer.json, tokenizer_config.json
            and chat_template.jinja.
        sentencepiece: its tokenizer.model, perhaps empty, or an empty list.
        text: JSONL with a "text" field: the text to compare tokens and logits on.
        gguf: F16 GGUF to write.
        gate: JSON to write: token_ids (number of texts whose ids differ between
            Transformers and llama.cpp), added_tokens (number of added tokens that are not
            read alike, alone or inside text) and f16_logits (largest difference of logits from
            Transformers in fp32, over the standard deviation of the logits), each with
            value, limit and passed.
        name: the model's name in the GGUF.
        threads: CPU threads.

    Raises:
        UserError: llama.cpp does not know the architecture or the tokenizer, or a gate
            failed; nothing is written then.
    """
    from specialist.core.gates import check
    from specialist.core.scratch import scratch
    from specialist.gguf.agreement import named
    from specialist.gguf.converter import convert

    files = {
        "model.safetensors": model,
        "config.json": config,
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": tokenizer_config,
        "chat_template.jinja": chat_template,
    }
    if sentencepiece and sentencepiece.stat().st_size:
        files["tokenizer.model"] = sentencepiece
    with open(text, encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    with scratch(gguf) as room:
        # The converter needs one folder, and takes metadata from its name.
        folder = room / "model"
        folder.mkdir()
        for target, source in files.items():
            (folder / target).symlink_to(source.resolve())
        made = room / "f16.gguf"
        convert(folder, made, name)
        differing, tokens, difference = _compare(folder, made, texts, threads)
        gates = check(
            "Hugging Face model against F16 GGUF",
            "llama.cpp would not compute what the trained model computes: use a tokenizer and an "
            f"architecture that it knows.{named(tokens)}",
            token_ids=(differing, 0),
            added_tokens=(len(tokens), 0),
            f16_logits=(difference, LOGIT_LIMIT),
        )
        os.replace(made, gguf)
    gate.write_text(json.dumps(gates, indent=1, sort_keys=True) + "\n")


def _compare(folder, gguf, texts, threads):
    """(number of texts with different ids, added tokens that differ, largest logit difference)"""
    from transformers import AutoTokenizer

    from specialist.gguf.agreement import differing_tokens, logit_difference
    from specialist.gguf.runtime import Runtime
    from specialist.train.conversations import BaseTokenizer
    from specialist.train.streaming import open_model

    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    checked = texts + tokenizer.all_special_tokens
    expected = tokenizer(checked, add_special_tokens=False)["input_ids"]
    model = open_model(folder)
    context = min(LOGIT_TOKENS, model.config.max_position_embeddings)
    with Runtime(gguf, context=context, threads=threads) as runtime:
        differing = sum(
            runtime.tokenize(text) != ids for text, ids in zip(checked, expected, strict=True)
        )
        added = [token.content for token in tokenizer.added_tokens_decoder.values()]
        tokens = differing_tokens(added, BaseTokenizer(tokenizer), runtime)
        ids = runtime.tokenize("".join(texts))[:context]
        return differing, tokens, logit_difference(model, runtime, ids)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(convert_gguf, snakemake)
