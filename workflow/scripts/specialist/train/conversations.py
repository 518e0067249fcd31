"""Conversations for fine-tuning: their system prompt, their length, and what carries loss."""

import functools
import os

from specialist.core.errors import UserError
from specialist.core.text import chat_renderer, read_rows


def with_system_prompt(path, prompt):
    """Conversations of a JSONL file, each with a system message: its own, or the prompt."""
    return [{"messages": _led(row["messages"], prompt)} for row in read_rows(path)]


def preference_rows(path, prompt):
    """The same for preferences, whose system message belongs to their "prompt"."""
    return [{**row, "prompt": _led(row["prompt"], prompt)} for row in read_rows(path)]


def _led(messages, prompt):
    system = {"role": "system", "content": prompt}
    return messages if messages[0]["role"] == "system" else [system, *messages]


def draw(count, examples, seed):
    """Which of `count` rows are used: their numbers, from 0.

    Args:
        examples: how many, in an order drawn by the seed; None for all, as they are.

    Raises:
        UserError: there are fewer rows.
    """
    import numpy as np

    if examples is None:
        return list(range(count))
    if examples > count:
        raise UserError(
            f"found {count} training conversations, expected at least the {examples} of the "
            "adapter's `examples`; lower it or add conversations"
        )
    return np.random.default_rng(seed).permutation(count)[:examples].tolist()


class BaseTokenizer:
    """The tokenizer of a base, as `specialist.core.prompt.Chat` asks for it.

    Args:
        tokenizer: of Transformers, a fast one.
    """

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer
        self.control_tokens = {
            token.content: number
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.special
        }

    def render(self, messages, open=True):
        """A conversation as text, by its template; `open` opens the assistant's next turn."""
        return self._renderer(messages, add_generation_prompt=open)

    @functools.cached_property
    def _renderer(self):
        return chat_renderer(self._tokenizer.chat_template, self._tokenizer.special_tokens_map)

    def tokenize(self, text, special=True):
        """Token ids of `text`, nothing added; see `specialist.gguf.runtime.Runtime.tokenize`."""
        return self._encode(text, special)["input_ids"]

    def starts(self, text):
        """Where each token of plain text starts in it: the number of the character."""
        pairs = self._encode(text, special=False, return_offsets_mapping=True)["offset_mapping"]
        return [start for start, _ in pairs]

    def _encode(self, text, special, **options):
        return self._tokenizer(
            text, add_special_tokens=False, split_special_tokens=not special, **options
        )


def encode(path, rows, tokenizer, max_length, drawn=None):
    """Conversations in the form of the trainer, each written as the agent would read it.

    Args:
        path: the file that they are from, for the message.
        rows: {"messages": [...]}.
        tokenizer: of Transformers.
        max_length: most tokens of a conversation.
        drawn: numbers of the rows that are taken, from 0; None for all.

    Returns:
        list of {"input_ids", "assistant_masks"}: ids, and 1 for each that carries loss:
        what the assistant says, but for messages of weight 0.

    Raises:
        UserError: names the first conversation that training would have to cut, or that the chat
            template refuses.
    """
    from specialist.core.prompt import Chat

    chat, found = Chat(BaseTokenizer(tokenizer)), []
    drawn = range(len(rows)) if drawn is None else drawn
    for number in drawn:
        try:
            ids, mask = chat.finished(rows[number]["messages"])
        except UserError as error:
            raise UserError(f"{path}:{number + 1}: {error}") from None
        found.append({"input_ids": ids, "assistant_masks": [int(own) for own in mask]})
    lengths = [len(row["input_ids"]) for row in found]
    long = [n for n, length in zip(drawn, lengths, strict=True) if length > max_length]
    if long:
        raise UserError(
            f"{path}:{min(long) + 1}: {len(long)} conversation(s) have more than max_length "
            f"{max_length} tokens, the longest {max(lengths)}; raise the adapter's max_length or "
            "shorten them"
        )
    return found


def encode_preferences(path, rows, tokenizer, max_length):
    """Preferences in the form of `preference_trainer`, in exactly the tokens that the agent reads.

    Args:
        path, tokenizer, max_length: as of `encode`.
        rows: {"prompt", "chosen", "rejected"}, lists of messages.

    Returns:
        list of {"prompt_ids", "chosen_ids", "rejected_ids"}; both sides end with the token that
        ends a turn.

    Raises:
        UserError: as `encode`.
    """
    from specialist.core.prompt import Chat

    chat, names, found = Chat(BaseTokenizer(tokenizer)), ("chosen", "rejected"), []
    sides = [
        encode(
            path, [{"messages": row["prompt"] + row[name]} for row in rows], tokenizer, max_length
        )
        for name in names
    ]
    for row, *both in zip(rows, *sides, strict=True):
        prompt, whole = chat.ids(row["prompt"]), [_until_end(**side) for side in both]
        # The text may share its first token with the blank before it.
        shared = min(len(os.path.commonprefix([prompt, ids])) for ids in whole)
        ids = {f"{name}_ids": side[shared:] for name, side in zip(names, whole, strict=True)}
        found.append({"prompt_ids": prompt[:shared], **ids})
    return found


def _until_end(input_ids, assistant_masks):
    """The tokens of a conversation up to the one that ends its last turn."""
    return input_ids[: len(assistant_masks) - assistant_masks[::-1].index(1)]
