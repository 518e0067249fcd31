"""Trains an adapter on a frozen base, or all weights of the base."""


def train_lora(
    conversations, held_out, model, config, tokenizer, tokenizer_config, chat_template,
    system_prompt, pretraining_tokens, adapter, adapter_config, figures, masks, curve,
    *, settings, threads, checkpoints, tracking,
):  # fmt: skip
    """Fine-tune on the assistant's turns with trl's SFTTrainer and peft.

    Args:
        conversations, held_out: JSONL of {"messages": [...]}.
        model, config: the base's files, in one folder.
        tokenizer, tokenizer_config, chat_template: the tokenizer's files, in one folder.
        system_prompt: text put before every conversation that has no system message.
        pretraining_tokens: .npy of the base's corpus, or an empty list for an imported base;
            tokens of the replies that it hardly holds are named before training.
        adapter, adapter_config: the adapter's files, written in one folder; after full
            fine-tuning the whole model's.
        figures: JSON with trainable parameters and the held-out loss; "hardly_seen" as
            `specialist.train.unseen.report` returns it.
        masks: text that shows for a few conversations which tokens carry loss.
        curve: CSV of the training and held-out loss, in nats per token, by step.
        settings: `LoraTraining` in specialist/config/settings/adapters.py says what each means;
            `precision`, the number format of the base; and `pretrained_on`, the number of
            tokens that it saw.
        checkpoints: `specialist.engine.checkpoints.Checkpoints`.
        tracking: `specialist.engine.tracking.Tracking`.

    Raises:
        UserError: a conversation is too long, or the chat template refuses it; there are fewer
            conversations than `examples`; the base has no layer of such a name.
    """
    import json

    import torch
    from peft.helpers import disable_input_dtype_casting
    from transformers import AutoTokenizer, set_seed

    from specialist.core.precision import computes_bf16
    from specialist.train.adapters import check_targets, save
    from specialist.train.conversations import draw, encode, with_system_prompt
    from specialist.train.finetuning import loss_curve, show_masks
    from specialist.train.unseen import report

    torch.set_num_threads(threads)
    set_seed(settings.seed)
    check_targets(f"adapters.{adapter.parent.name}", model.parent, settings.target_modules)
    prompt = system_prompt.read_text(encoding="utf-8")
    processing = AutoTokenizer.from_pretrained(
        tokenizer.parent, local_files_only=True, trust_remote_code=False
    )
    rows, unseen = (with_system_prompt(path, prompt) for path in (conversations, held_out))
    drawn = draw(len(rows), settings.examples, settings.seed)
    train = encode(conversations, rows, processing, settings.max_length, drawn)
    rare = []
    if pretraining_tokens and settings.method != "full":
        rare = report(train, pretraining_tokens, settings.pretrained_on, processing)
    # Sort by length, so a batch has little padding.
    validation = sorted(
        encode(held_out, unseen, processing, settings.max_length),
        key=lambda row: len(row["input_ids"]),
    )
    trainer = _trainer(model, processing, train, validation, settings, checkpoints, tracking)
    masks.write_text(show_masks(trainer.train_dataset, processing), encoding="utf-8")
    last = checkpoints.last()
    # Autocast makes the inputs bf16 itself; peft would turn them into fp32 first.
    with disable_input_dtype_casting(trainer.model, active=computes_bf16(settings.precision)):
        trainer.train(resume_from_checkpoint=last and str(last))
    held_out_loss = trainer.evaluate()["eval_loss"]
    trainable, total = save(trainer.model, adapter, adapter_config)
    result = {
        "trainable_parameters": trainable,
        "total_parameters": total,
        "trainable_share": trainable / total,
        "held_out_loss": held_out_loss,
        "conversations": len(train),
        "steps": trainer.state.global_step,
        "hardly_seen": rare,
    }
    figures.write_text(json.dumps(result, indent=1) + "\n")
    curve.write_text(loss_curve(trainer.state.log_history))


def _trainer(model, processing, train, validation, settings, checkpoints, tracking):
    """trl's trainer of the adapter, with the base loaded.

    Args:
        processing: the tokenizer.
        train, validation: encoded conversations.
    """
    from datasets import Dataset
    from trl import SFTConfig

    from specialist.core.progress import trainer_progress
    from specialist.engine.checkpoints import trainer_checkpoints
    from specialist.engine.tracking import trainer_tracking
    from specialist.train.adapters import load_base, peft_config
    from specialist.train.attention import implementation
    from specialist.train.finetuning import (
        on_one_device,
        packed_collator,
        trainer_arguments,
        trainer_class,
    )

    arguments = SFTConfig(
        warmup_steps=0.03,  # a share of all steps
        weight_decay=0.0,
        packing=settings.packing,
        eval_packing=False,
        **trainer_arguments(checkpoints, settings),
    )
    trainer = trainer_class()(
        model=load_base(
            model.parent,
            method=settings.method,
            attention=implementation(settings.precision),
            precision=settings.precision,
        ),
        args=on_one_device(arguments),
        processing_class=processing,
        train_dataset=Dataset.from_list(train),
        eval_dataset=Dataset.from_list(validation),
        peft_config=peft_config(
            settings.method,
            rank=settings.rank,
            alpha=settings.alpha,
            dropout=settings.dropout,
            target_modules=settings.target_modules,
        ),
        callbacks=[
            trainer_progress(settings.method),
            trainer_checkpoints(checkpoints),
            trainer_tracking(tracking),
        ],
    )
    if settings.packing:
        trainer.data_collator = packed_collator(trainer.data_collator.pad_token_id)
    return trainer


if "snakemake" in globals():
    from specialist.engine.step import run

    run(train_lora, snakemake)
