"""Lengths of an adapter's training conversations, if they are prepared."""

import functools
import heapq
import json
import os

TRIED = 8  # conversations that are tokenised: those with the longest text
MESSAGES = 3  # of the customer in a simulated conversation, each a training row
AROUND = 8  # tokens at most that a chat template puts around a message
LARGEST = 200_000_000  # bytes of a file that is looked through at a start


def simulated_rows(dataset):
    """Training rows of a simulated dataset, by its entry."""
    return dataset["episodes"] + MESSAGES * dataset["dialogues"]


def longest(config, adapter, base_name):
    """Tokens of the longest training conversation; None if data or tokenizer do not exist yet.

    Args:
        config: the loaded configuration.
        adapter: its entry.
        base_name: name of its base.
    """
    base, prepared = config["bases"][base_name], f"results/{adapter['dataset']}/prepared"
    names = [f"results/{base['dataset']}/base/{base_name}/tokenizer/tokenizer.json"]
    names += [os.path.join(base["path"], "tokenizer.json")] if "path" in base else []
    tokenizer = next(filter(os.path.isfile, names), None)
    rows, prompt = f"{prepared}/sft.train.jsonl", f"{prepared}/system_prompt.txt"
    if tokenizer is None or not os.path.isfile(rows) or os.path.getsize(rows) > LARGEST:
        return None
    times = tuple(os.stat(path).st_mtime_ns for path in (tokenizer, rows))
    try:
        return _longest(tokenizer, rows, prompt, times)
    except Exception:  # a damaged file; the step that reads it reports the problem
        return None


@functools.cache
def _longest(tokenizer, rows, prompt, times):
    from tokenizers import Tokenizer

    encode = Tokenizer.from_file(tokenizer).encode
    system = ""
    if os.path.isfile(prompt):
        with open(prompt, encoding="utf-8") as file:
            system = file.read()
    with open(rows, "rb") as file:
        messages = [json.loads(line)["messages"] for line in heapq.nlargest(TRIED, file, key=len)]
    most = 0
    for conversation in messages:
        texts = [message["content"] for message in conversation]
        if conversation[0]["role"] != "system":
            texts.insert(0, system)
        most = max(most, sum(len(encode(text).ids) + AROUND for text in texts))
    return most or None
