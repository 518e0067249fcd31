"""Conversations for fine-tuning: their system prompt, their length, and what carries loss."""

import functools
import os

from specialist.core.errors import UserError
from specialist.core.precision import computes_bf16
from specialist.core.text import read_rows


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
        UserError: there are not as many.
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
        return self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=open
        )

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
    """Conversations as the trainer takes them, each written as the agent would have met it.

    Args:
        path: the file that they are from, for the message.
        rows: {"messages": [...]}.
        tokenizer: of Transformers.
        max_length: most tokens of a conversation.
        drawn: numbers of the rows that are taken, from 0; None for all.

    Returns:
        list of {"input_ids", "assistant_masks"}: ids, and 1 for each that carries loss:
        what the assistant says, but for its messages of weight 0.

    Raises:
        UserError: names the first one that training would have to cut, or that the chat template
            refuses.
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
    """Preferences as `preference_trainer` takes them, in the very tokens that the agent meets.

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
        # What is said may share its first token with the blank before it.
        shared = min(len(os.path.commonprefix([prompt, ids])) for ids in whole)
        ids = {f"{name}_ids": side[shared:] for name, side in zip(names, whole, strict=True)}
        found.append({"prompt_ids": prompt[:shared], **ids})
    return found


def _until_end(input_ids, assistant_masks):
    """The tokens of a conversation up to the one that ends its last turn."""
    return input_ids[: len(assistant_masks) - assistant_masks[::-1].index(1)]


def assistant_loss(model, tokenizer, rows, batch_size=4):
    """Mean loss, in nats, of the assistant's tokens in conversations, written as in training.

    Args:
        model: a causal language model of Transformers.
        tokenizer: of Transformers.
        rows: {"messages": [...]}, none longer than the model's context.
        batch_size: conversations that go through the model together.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from specialist.core.prompt import Chat

    # Of a model that stays on disk, the weights are on no device.
    device = "cpu" if model.device.type == "meta" else model.device
    chat = Chat(BaseTokenizer(tokenizer))
    coded = sorted((chat.finished(row["messages"]) for row in rows), key=lambda pair: len(pair[0]))
    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(coded), batch_size):
            ids, carries = (
                pad_sequence(list(map(torch.tensor, part)), batch_first=True).to(device)
                for part in zip(*coded[start : start + batch_size], strict=True)
            )
            logits = carried(model, carries[:, 1:], input_ids=ids).logits.float()
            targets = ids[:, 1:][carries[:, 1:]]
            total += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
            count += len(targets)
    return total / count


def carried(model, carries, **inputs):
    """What a model says of rows, with logits for no more than the tokens that carry loss.

    Padding comes last, where causal attention hides it: no mask is needed for it.

    Args:
        carries: [rows, length - 1], whether the token after each place carries loss.
        inputs: of the model; ids [rows, length].

    Returns:
        the model's output; logits [tokens that carry loss, vocabulary].
    """
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, given: given[0][:, :-1][carries])
    try:
        return model(**inputs, use_cache=False)
    finally:
        hook.remove()


def trainer_arguments(
    checkpoints, *, max_length, batch_size, gradient_accumulation, gradient_checkpointing, epochs,
    learning_rate, precision, seed,
):  # fmt: skip
    """What all of trl's trainers are told in the same way, as arguments of their configuration."""
    import torch

    return {
        "output_dir": str(checkpoints.folder),
        "max_length": max_length,
        "per_device_train_batch_size": batch_size,
        "per_device_eval_batch_size": batch_size,
        "gradient_accumulation_steps": gradient_accumulation,
        "gradient_checkpointing": gradient_checkpointing,
        "num_train_epochs": epochs,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "linear",
        "bf16": computes_bf16(precision),
        "use_cpu": not torch.cuda.is_available(),
        "seed": seed,
        "data_seed": seed,
        "logging_steps": 10,
        "logging_first_step": True,
        "eval_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def loss_curve(history):
    """CSV of the training loss by step, from what a trainer logged."""
    losses = [(row["step"], row["loss"]) for row in history if "loss" in row]
    return "\n".join(["step,loss", *(f"{step},{loss:.5f}" for step, loss in losses)]) + "\n"


def show_masks(encoded, tokenizer, count=3):
    """Which tokens of a few conversations carry loss, as text: those between [[ and ]].

    Args:
        encoded: the trainer's dataset, rows with "input_ids" and "labels".
    """
    return "".join(
        _marked(row["input_ids"], [label != -100 for label in row["labels"]], tokenizer) + "\n\n"
        for row in encoded.select(range(min(count, len(encoded))))
    ).removesuffix("\n")


def _marked(ids, mask, tokenizer):
    text, start = "", 0
    for end in range(1, len(ids) + 1):
        if end == len(ids) or bool(mask[end]) != bool(mask[start]):
            part = tokenizer.decode(ids[start:end])
            text += f"[[{part}]]" if mask[start] else part
            start = end
    return text


@functools.cache
def trainer_class():
    """trl's SFTTrainer, on a processor with a loss that skips what carries none.

    Without Triton, trl computes the logits of every token and several statistics of them, twice:
    for a small model that is nearly half of the training time.
    """
    import torch
    from trl import SFTTrainer

    if torch.cuda.is_available():
        return SFTTrainer

    class Trainer(SFTTrainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            labels = inputs["labels"][:, 1:]
            carries = labels != -100
            outputs = carried(
                model,
                carries,
                input_ids=inputs["input_ids"],
                position_ids=inputs.get("position_ids"),
            )
            total = torch.nn.functional.cross_entropy(
                outputs.logits.float(), labels[carries], reduction="sum"
            )
            loss = total / (carries.sum() if num_items_in_batch is None else num_items_in_batch)
            return (loss, outputs) if return_outputs else loss

    return Trainer


def packed_collator(pad_token_id):
    """What makes batches of rows that hold several conversations, which do not see each other.

    Transformers reads restarts of the positions as borders that attention does not cross, but
    only where there is no mask. trl's own way, all rows of a batch behind each other in one, makes
    attention matrices of the square of its length.
    """
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    class Collator(DataCollatorForLanguageModeling):
        def torch_call(self, examples):
            batch = super().torch_call(examples)
            del batch["attention_mask"]  # padding comes last, where nothing sees it
            return batch

    return Collator(pad_token_id, return_position_ids=True)


@functools.cache
def preference_trainer():
    """trl's DPOTrainer for the rows of `encode_preferences`.

    It has no option to leave out its own rendering, which writes the last turn as the template
    does: not always as the agent writes it, and with what people say as control tokens.
    """
    from trl import DPOTrainer

    class Trainer(DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset

    return Trainer
