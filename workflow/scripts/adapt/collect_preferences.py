"""Collects the adapter's mistakes on practice episodes: the script's turn against its own."""

import re

from specialist.preflight.needs import TURNS


def collect_preferences(
    practice, system_prompt, model, config, tokenizer, tokenizer_config, chat_template,
    lora, lora_config, preferences,
    *, method, max_new_tokens, threads,
):  # fmt: skip
    """Write a row for each turn where the adapter does not do the same as the script.

    The adapter continues after the script's turns, so both sides have the same prompt. Another
    thought, or other words around the same figures of an answer, is no failure.

    Args:
        practice: JSONL of scripted episodes, {"messages": [...]}, of the training side.
        system_prompt: text put before each of them.
        model, config: the base's files, in one folder.
        tokenizer, tokenizer_config, chat_template: the tokenizer's files, in one folder.
        lora, lora_config: the adapter's files, in one folder.
        preferences: JSONL to write: {"prompt", "chosen", "rejected"}, lists of messages.
        method: of the adapter, see `specialist.train.adapters`.
        max_new_tokens: tokens in a turn of the adapter.

    Raises:
        UserError: the adapter makes fewer than two mistakes.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoTokenizer

    from specialist.core.errors import UserError
    from specialist.core.prompt import Chat
    from specialist.core.text import write_rows
    from specialist.train.adapters import QLORA, load_base
    from specialist.train.conversations import BaseTokenizer, with_system_prompt

    torch.set_num_threads(threads)
    processing = AutoTokenizer.from_pretrained(
        tokenizer.parent, local_files_only=True, trust_remote_code=False, padding_side="left"
    )
    chat = Chat(BaseTokenizer(processing))
    network = PeftModel.from_pretrained(load_base(model.parent, method=method), lora.parent).eval()
    if method != QLORA:  # its base has no room for a merge
        network = network.merge_and_unload()
        network.to("cuda" if torch.cuda.is_available() else "cpu")
    turns = [
        (row["messages"][:place], message["content"])
        for row in with_system_prompt(practice, system_prompt.read_text(encoding="utf-8"))
        for place, message in enumerate(row["messages"])
        if message["role"] == "assistant"
    ]
    turns.sort(key=lambda turn: sum(len(message["content"]) for message in turn[0]))
    rows = []
    for start in range(0, len(turns), TURNS):
        batch = turns[start : start + TURNS]
        asked = {"input_ids": [chat.ids(prompt) for prompt, _ in batch]}
        encoded = processing.pad(asked, return_tensors="pt").to(network.device)
        with torch.inference_mode():
            found = network.generate(
                **encoded,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                use_cache=True,
                eos_token_id=[processing.eos_token_id, chat.end],
                pad_token_id=processing.pad_token_id,
            )
        said = processing.batch_decode(
            found[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True
        )
        rows += [
            {"prompt": prompt, "chosen": _turn(right), "rejected": _turn(wrong)}
            for (prompt, right), wrong in zip(batch, said, strict=True)
            if wrong.strip() and _done(wrong) != _done(right)
        ]
    print(f"{len(rows)} of {len(turns)} turns differ from the script")
    if len(rows) < 2:
        raise UserError(
            f"found {len(rows)} wrong turns of the adapter in {len(turns)}, expected at least two; "
            "raise `episodes` of its dpo, or remove dpo, which has nothing to learn here"
        )
    write_rows(preferences, rows)


def _turn(text):
    return [{"role": "assistant", "content": text}]


def _done(turn):
    """The effect of a turn: its call, or the figures of its answer; otherwise the turn itself."""
    from specialist.agent.react import parse

    step = parse(turn)
    if "call" in step:
        return step["call"], step["arguments"]
    return re.findall(r"\d+(?:\.\d+)?", step["answer"]) if "answer" in step else turn.strip()


if "snakemake" in globals():
    from specialist.engine.step import run

    run(collect_preferences, snakemake)
