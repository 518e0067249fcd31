"""Fine-tuning on conversations: the loss, and additions to trl's trainers."""

import functools

from specialist.core.precision import computes_bf16


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
    from specialist.train.conversations import BaseTokenizer

    # The weights of a model that stays on disk are on no device.
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
    """The output of a model for rows, with logits only for tokens that carry loss.

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


def trainer_arguments(checkpoints, settings):
    """The common arguments of the configurations of trl's trainers."""
    import torch

    return {
        "output_dir": str(checkpoints.folder),
        "max_length": settings.max_length,
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "linear",
        "bf16": computes_bf16(settings.precision),
        "use_cpu": not torch.cuda.is_available(),
        "seed": settings.seed,
        "data_seed": settings.seed,
        "logging_steps": 10,
        "logging_first_step": True,
        "eval_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def on_one_device(arguments):
    """Have a trainer use one device, whatever number of GPUs it sees.

    Otherwise it would give each GPU a batch of its own, and so multiply the batch size.

    Args:
        arguments: `transformers.TrainingArguments`; they are changed.

    Returns:
        the arguments.
    """
    if arguments.n_gpu > 1:  # reading it makes Transformers choose the first GPU
        arguments._n_gpu = 1
    return arguments


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
    """trl's SFTTrainer; on a processor, its loss skips tokens without loss.

    Without Triton, trl computes the logits of every token and several statistics of them twice. For
    a small model, this is a large part of the training time.
    """
    import torch
    from trl import SFTTrainer

    from specialist.train.loss import carried_loss, in_parts

    if torch.cuda.is_available():
        return SFTTrainer

    class Trainer(SFTTrainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            labels = inputs["labels"][:, 1:]
            carries = labels != -100
            given = {name: inputs.get(name) for name in ("input_ids", "position_ids")}
            count = carries.sum() if num_items_in_batch is None else num_items_in_batch
            if not return_outputs and in_parts(model, len(labels[carries])):
                return carried_loss(model, carries, labels[carries], **given) / count
            outputs = carried(model, carries, **given)
            total = torch.nn.functional.cross_entropy(
                outputs.logits.float(), labels[carries], reduction="sum"
            )
            return (total / count, outputs) if return_outputs else total / count

    return Trainer


def packed_collator(pad_token_id):
    """A collator for rows with several conversations that do not attend to each other.

    Transformers reads restarts of the positions as borders that attention does not cross, but
    only where there is no mask. trl puts all rows of a batch into one long row, whose attention
    matrices grow with the square of its length.
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

    It has no option to leave out its own rendering. That rendering writes the last turn as the
    template does, not always as the agent does, and allows control tokens in the text of people.
    """
    from trl import DPOTrainer

    class Trainer(DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset

    return Trainer
