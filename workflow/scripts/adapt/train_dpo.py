"""Trains an adapter further on preferences: direct preference optimization."""


def train_dpo(
    preferences, held_out_preferences, held_out, model, config, tokenizer, tokenizer_config,
    chat_template, system_prompt, lora, lora_config, adapter, adapter_config, figures, curve,
    *, settings, threads, checkpoints, tracking,
):  # fmt: skip
    """Move an adapter towards chosen and away from rejected turns with trl's DPOTrainer.

    The reference is the adapter as it was.

    Args:
        preferences, held_out_preferences: JSONL of prepare_preferences.
        held_out: JSONL of {"messages": [...]}, to see what is forgotten.
        model, config: the base's files, in one folder.
        tokenizer, tokenizer_config, chat_template: the tokenizer's files, in one folder.
        system_prompt: text put before every conversation that has no system message.
        lora, lora_config: the files of the adapter to start from, in one folder.
        adapter, adapter_config: the adapter's files, written in one folder.
        figures: JSON to write: preferences, steps, and before and after: reward_accuracy
            (share of the held-out preferences whose chosen side gained more than the rejected;
            0 before, as nothing has changed yet) and held_out_loss (of the conversations).
        curve: CSV of the loss by step.
        settings: `Batches` and `DpoTraining` in specialist/config/settings/adapters.py say what
            each means; and `precision`, the number format of the base.
        checkpoints: `specialist.engine.checkpoints.Checkpoints`.
        tracking: `specialist.engine.tracking.Tracking`.

    Raises:
        UserError: a prompt with one of its sides is too long.
    """
    import json

    import torch
    from transformers import AutoTokenizer, set_seed

    from specialist.train.adapters import save
    from specialist.train.conversations import (
        encode_preferences,
        preference_rows,
        with_system_prompt,
    )
    from specialist.train.finetuning import assistant_loss, loss_curve

    torch.set_num_threads(threads)
    set_seed(settings.seed)
    prompt = system_prompt.read_text(encoding="utf-8")
    processing = AutoTokenizer.from_pretrained(
        tokenizer.parent, local_files_only=True, trust_remote_code=False
    )
    rows, unseen = (
        encode_preferences(path, preference_rows(path, prompt), processing, settings.max_length)
        for path in (preferences, held_out_preferences)
    )
    trainer = _trainer(model, lora, processing, rows, unseen, settings, checkpoints, tracking)
    conversations = with_system_prompt(held_out, prompt)

    def measure():
        trainer.model.eval()
        return {
            "reward_accuracy": trainer.evaluate()["eval_rewards/accuracies"],
            "held_out_loss": assistant_loss(trainer.model, processing, conversations),
        }

    before = measure()
    last = checkpoints.last()
    trainer.train(resume_from_checkpoint=last and str(last))
    after = measure()
    save(trainer.model, adapter, adapter_config)
    result = {
        "preferences": len(rows),
        "steps": trainer.state.global_step,
        "before": before,
        "after": after,
    }
    figures.write_text(json.dumps(result, indent=1) + "\n")
    curve.write_text(loss_curve(trainer.state.log_history))


def _trainer(model, lora, processing, rows, unseen, settings, checkpoints, tracking):
    """trl's trainer of preferences, with the adapter on its base.

    Args:
        processing: the tokenizer.
        rows, unseen: encoded preferences, for training and held out.
    """
    from datasets import Dataset
    from peft import PeftModel
    from trl import DPOConfig

    from specialist.core.progress import trainer_progress
    from specialist.engine.checkpoints import trainer_checkpoints
    from specialist.engine.tracking import trainer_tracking
    from specialist.train.adapters import load_base
    from specialist.train.attention import implementation
    from specialist.train.finetuning import on_one_device, preference_trainer, trainer_arguments

    base = load_base(
        model.parent,
        method=settings.method,
        attention=implementation(settings.precision),
        precision=settings.precision,
    )
    return preference_trainer()(
        model=PeftModel.from_pretrained(base, lora.parent, is_trainable=True),
        args=on_one_device(
            DPOConfig(beta=settings.beta, **trainer_arguments(checkpoints, settings))
        ),
        processing_class=processing,
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(unseen),
        callbacks=[
            trainer_progress("dpo"),
            trainer_checkpoints(checkpoints),
            trainer_tracking(tracking),
        ],
    )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(train_dpo, snakemake)
