"""Conversations for fine-tuning: their system prompt, their length, and what carries loss."""

import functools

from specialist.precision import computes_bf16
from specialist.step import UserError
from specialist.text import read_rows


def with_system_prompt(path, prompt):
    """Conversations of a JSONL file, each with a system message: its own, or the prompt."""
    return [{"messages": _led(row["messages"], prompt)} for row in read_rows(path)]


def preference_rows(path, prompt):
    """The same for preferences, whose system message belongs to their "prompt"."""
    return [{**row, "prompt": _led(row["prompt"], prompt)} for row in read_rows(path)]


def _led(messages, prompt):
    system = {"role": "system", "content": prompt}
    return messages if messages[0]["role"] == "system" else [system, *messages]


def draw(rows, examples, seed):
    """The first `examples` rows in an order drawn by the seed; all, as they are, for None.

    Args:
        rows: a `datasets.Dataset`.

    Raises:
        UserError: there are not as many.
    """
    if examples is None:
        return rows
    if examples > len(rows):
        raise UserError(
            f"found {len(rows)} training conversations, expected at least the {examples} of the "
            "adapter's `examples`; lower it or add conversations"
        )
    return rows.shuffle(seed=seed).select(range(examples))


class BaseTokenizer:
    """The tokenizer of a base, as `specialist.prompt.Chat` asks for it.

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
        """Token ids of `text`, nothing added; see `specialist.runtime.Runtime.tokenize`."""
        return self._encode(text, special)["input_ids"]

    def starts(self, text):
        """Where each token of plain text starts in it: the number of the character."""
        pairs = self._encode(text, special=False, return_offsets_mapping=True)["offset_mapping"]
        return [start for start, _ in pairs]

    def _encode(self, text, special, **options):
        return self._tokenizer(
            text, add_special_tokens=False, split_special_tokens=not special, **options
        )


def encode(path, rows, tokenizer, max_length):
    """Conversations as the trainer takes them, each written as the agent would have met it.

    Args:
        path: the file that they are from, for the message.
        rows: {"messages": [...]}.
        tokenizer: of Transformers.
        max_length: most tokens of a conversation.

    Returns:
        list of {"input_ids", "assistant_masks"}: ids, and 1 for each that carries loss.

    Raises:
        UserError: names the first one that training would have to cut, or that the chat template
            refuses.
    """
    from specialist.prompt import Chat

    chat, found = Chat(BaseTokenizer(tokenizer)), []
    for number, row in enumerate(rows, 1):
        try:
            ids, mask = chat.finished(row["messages"])
        except UserError as error:
            raise UserError(f"{path}:{number}: {error}") from None
        found.append({"input_ids": ids, "assistant_masks": [int(own) for own in mask]})
    lengths = [len(row["input_ids"]) for row in found]
    long = [number for number, length in enumerate(lengths, 1) if length > max_length]
    if long:
        raise UserError(
            f"{path}:{long[0]}: {len(long)} conversation(s) have more than max_length {max_length} "
            f"tokens, the longest {max(lengths)}; raise the adapter's max_length or shorten them"
        )
    return found


def assistant_loss(model, tokenizer, rows):
    """Mean loss, in nats, of the assistant's tokens in conversations.

    Args:
        model: a causal language model of Transformers.
        rows: {"messages": [...]}, none longer than the model's context.
    """
    import torch

    # Of a model that stays on disk, the weights are on no device.
    device = "cpu" if model.device.type == "meta" else model.device
    total, count = 0.0, 0
    with torch.inference_mode():
        for row in rows:
            encoded = tokenizer.apply_chat_template(
                row["messages"], return_dict=True, return_assistant_tokens_mask=True
            )
            ids = torch.tensor([encoded["input_ids"]], device=device)
            carries = torch.tensor(encoded["assistant_masks"][1:], device=device).bool()
            logits = model(input_ids=ids, use_cache=False).logits[0, :-1][carries]
            total += torch.nn.functional.cross_entropy(
                logits, ids[0, 1:][carries], reduction="sum"
            ).item()
            count += int(carries.sum())
    return total / count


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
            head = model.get_output_embeddings()
            hook = head.register_forward_pre_hook(lambda _, given: given[0][:, :-1][carries])
            # Padding comes last, where causal attention hides it: no mask is needed for it.
            outputs = model(
                input_ids=inputs["input_ids"],
                position_ids=inputs.get("position_ids"),
                use_cache=False,
            )
            hook.remove()
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
