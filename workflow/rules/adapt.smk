# An adapter: LoRA on a frozen base, merged into it.


rule train_lora:
    input:
        conversations="results/{dataset}/prepared/sft.train.jsonl",
        held_out="results/{dataset}/prepared/sft.validation.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
        model=lambda w: f"{files.weights_folder(w.adapter)}/model.safetensors",
        config=lambda w: f"{files.weights_folder(w.adapter)}/config.json",
        tokenizer=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/tokenizer.json",
        tokenizer_config=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/tokenizer_config.json",
        chat_template=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/chat_template.jinja",
    output:
        adapter="results/{dataset}/adapter/{adapter}/adapter_model.safetensors",
        adapter_config="results/{dataset}/adapter/{adapter}/adapter_config.json",
        figures="results/{dataset}/adapter/{adapter}/training.json",
        masks="results/{dataset}/adapter/{adapter}/masks.txt",
        curve=report(
            "results/{dataset}/adapter/{adapter}/loss.csv",
            category="Training",
            caption="../report/loss.rst",
        ),
    log:
        "results/logs/{dataset}/train_lora/{adapter}.log",
    threads: workflow.cores
    params:
        settings=named(
            rank=lookup("adapters/{adapter}/rank", within=config),
            alpha=lookup("adapters/{adapter}/alpha", within=config),
            dropout=lookup("adapters/{adapter}/dropout", within=config),
            target_modules=lookup("adapters/{adapter}/target_modules", within=config),
            learning_rate=lookup("adapters/{adapter}/learning_rate", within=config),
            batch_size=lookup("adapters/{adapter}/batch_size", within=config),
            gradient_accumulation=lookup(
                "adapters/{adapter}/gradient_accumulation", within=config
            ),
            examples=lookup(
                "adapters/{adapter}/examples", within=config, default=None
            ),
            epochs=lookup("adapters/{adapter}/epochs", within=config),
            max_length=lookup("adapters/{adapter}/max_length", within=config),
            precision=lambda w: files.base_of(w.adapter)[1]["precision"],
            seed=lookup("adapters/{adapter}/seed", within=config),
        ),
        code=digest("train_lora.py", "train"),
    script:
        "../scripts/train_lora.py"


rule render_text:
    input:
        documents=lambda w: files.corpus(files.base_of(w.model)[0]),
        conversations="results/{dataset}/prepared/sft.validation.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
        template=lambda w: f"{files.base_folder(w.model)}/tokenizer/chat_template.jinja",
        tokenizer_config=lambda w: f"{files.base_folder(w.model)}/tokenizer/tokenizer_config.json",
    output:
        text="results/{dataset}/gguf/{model}/held_out.jsonl",
    log:
        "results/logs/{dataset}/render_text/{model}.log",
    params:
        code=digest("render_text.py"),
    script:
        "../scripts/render_text.py"


rule merge_lora:
    input:
        model=lambda w: f"{files.weights_folder(w.adapter)}/model.safetensors",
        config=lambda w: f"{files.weights_folder(w.adapter)}/config.json",
        tokenizer=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/tokenizer.json",
        adapter="results/{dataset}/adapter/{adapter}/adapter_model.safetensors",
        adapter_config="results/{dataset}/adapter/{adapter}/adapter_config.json",
        text="results/{dataset}/gguf/{adapter}/held_out.jsonl",
    output:
        merged="results/{dataset}/adapter/{adapter}/merged/model.safetensors",
        merged_config="results/{dataset}/adapter/{adapter}/merged/config.json",
        gate="results/{dataset}/adapter/{adapter}/merge_gate.json",
    log:
        "results/logs/{dataset}/merge_lora/{adapter}.log",
    params:
        code=digest("merge_lora.py", "train"),
    script:
        "../scripts/merge_lora.py"
