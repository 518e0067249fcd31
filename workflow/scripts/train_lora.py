"""Trains a LoRA adapter on a frozen base."""


def train_lora(
    conversations, held_out, model, config, tokenizer, tokenizer_config, chat_template,
    system_prompt, adapter, adapter_config, figures, masks, curve,
    *, rank, alpha, dropout, target_modules, learning_rate, batch_size, gradient_accumulation,
    examples, epochs, max_length, precision, seed, threads, checkpoints,
):  # fmt: skip
    """Fine-tune on the assistant's turns with trl's SFTTrainer and peft's LoRA.

    Args:
        conversations, held_out: JSONL of {"messages": [...]}.
        model, config: the base's files, in one folder.
        tokenizer, tokenizer_config, chat_template: the tokenizer's files, in one folder.
        system_prompt: text put before every conversation that has no system message.
        adapter, adapter_config: the adapter's files, written in one folder.
        figures: JSON with trainable parameters and the held-out loss.
        masks: text that shows for a few conversations which tokens carry loss.
        curve: CSV of the training and held-out loss, in nats per token, by step.
        examples: how many of the conversations are used, drawn by the seed; None for all.
        epochs: passes over the conversations.
        max_length: tokens of the longest conversation.
        checkpoints: `specialist.checkpoint.Checkpoints`.

    Raises:
        UserError: a conversation is too long, or the chat template refuses it; there are fewer
            conversations than `examples`; the base has no layer of such a name.
    """
    import json

    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from trl import SFTConfig

    from specialist.attention import implementation
    from specialist.checkpoint import trainer_checkpoints
    from specialist.finetuning import (
        check_targets,
        draw,
        encode,
        show_masks,
        trainer_class,
        with_system_prompt,
    )
    from specialist.precision import computes_bf16
    from specialist.progress import trainer_progress

    torch.set_num_threads(threads)
    set_seed(seed)
    check_targets(f"adapters.{adapter.parent.name}", model.parent, target_modules)
    prompt = system_prompt.read_text(encoding="utf-8")
    processing = AutoTokenizer.from_pretrained(tokenizer.parent, local_files_only=True)
    data = {
        name: Dataset.from_list(
            encode(path, with_system_prompt(path, prompt), processing, max_length)
        )
        for name, path in (("train", conversations), ("held_out", held_out))
    }
    data["train"] = draw(data["train"], examples, seed)
    arguments = SFTConfig(
        output_dir=str(checkpoints.folder),
        max_length=max_length,
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=batch_size,
        gradient_accumulation_steps=gradient_accumulation,
        num_train_epochs=epochs,
        learning_rate=learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=10,
        weight_decay=0.0,
        bf16=computes_bf16(precision),
        gradient_checkpointing=False,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
        logging_steps=10,
        logging_first_step=True,
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = trainer_class()(
        model=AutoModelForCausalLM.from_pretrained(
            model.parent,
            local_files_only=True,
            use_safetensors=True,
            dtype="float32",
            attn_implementation=implementation(precision),
        ),
        args=arguments,
        processing_class=processing,
        train_dataset=data["train"],
        eval_dataset=data["held_out"],
        peft_config=LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=target_modules,
            task_type="CAUSAL_LM",
        ),
        callbacks=[trainer_progress("lora"), trainer_checkpoints(checkpoints)],
    )
    masks.write_text(show_masks(trainer.train_dataset, processing), encoding="utf-8")
    before = trainer.evaluate()["eval_loss"]
    last = checkpoints.last()
    trainer.train(resume_from_checkpoint=last and str(last))
    after = trainer.evaluate()["eval_loss"]
    settings = trainer.model.peft_config["default"]
    settings.target_modules = sorted(settings.target_modules)  # a set has no order of its own
    trainer.model.save_pretrained(adapter.parent)
    trainable, total = trainer.model.get_nb_trainable_parameters()
    result = {
        "trainable_parameters": trainable,
        "total_parameters": total,
        "trainable_share": trainable / total,
        "held_out_loss_before": before,
        "held_out_loss": after,
        "conversations": len(data["train"]),
        "steps": trainer.state.global_step,
    }
    figures.write_text(json.dumps(result, indent=1) + "\n")
    losses = [(row["step"], row["loss"]) for row in trainer.state.log_history if "loss" in row]
    lines = ["step,loss", *(f"{step},{loss:.5f}" for step, loss in losses)]
    curve.write_text("\n".join(lines) + "\n")


if "snakemake" in globals():
    from specialist.step import run

    run(train_lora, snakemake)
