# An adapter: LoRA on a frozen base, merged into it; or a variant of LoRA, or all weights.


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
    threads: lambda w: cores(w.adapter, evaluated, workflow.cores)
    params:
        settings=named(
            method=lookup("adapters/{adapter}/method", within=config),
            rank=lookup("adapters/{adapter}/rank", within=config),
            alpha=lookup("adapters/{adapter}/alpha", within=config),
            dropout=lookup("adapters/{adapter}/dropout", within=config),
            target_modules=lookup("adapters/{adapter}/target_modules", within=config),
            learning_rate=lookup("adapters/{adapter}/learning_rate", within=config),
            batch_size=lookup("adapters/{adapter}/batch_size", within=config),
            gradient_accumulation=lookup(
                "adapters/{adapter}/gradient_accumulation", within=config
            ),
            gradient_checkpointing=lookup(
                "adapters/{adapter}/gradient_checkpointing", within=config
            ),
            packing=lookup("adapters/{adapter}/packing", within=config),
            examples=lookup(
                "adapters/{adapter}/examples", within=config, default=None
            ),
            epochs=lookup("adapters/{adapter}/epochs", within=config),
            max_length=lookup("adapters/{adapter}/max_length", within=config),
            precision=lambda w: files.base_of(w.adapter)[1]["precision"],
            seed=lookup("adapters/{adapter}/seed", within=config),
        ),
        code=digest("adapt/train_lora.py", "train"),
    script:
        "../scripts/adapt/train_lora.py"


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
        code=digest("adapt/render_text.py"),
    script:
        "../scripts/adapt/render_text.py"


# Of an adapter with `dpo`: preferences, and a second stage of training on them. Those of a
# simulated dataset are its own mistakes on episodes that are drawn as those of its training.


rule simulate_practice:
    input:
        spec=lambda w: files.spec(w.dataset, "sft"),
    output:
        sft="results/{dataset}/adapter/{adapter}/dpo/practice.jsonl",
    log:
        "results/logs/{dataset}/simulate_practice/{adapter}.log",
    priority: 1
    params:
        settings=named(
            episodes=lookup("adapters/{adapter}/dpo/episodes", within=config),
            seed=config["seeds"]["simulate"] + 1,
        ),
        code=digest("dataset/simulate_sft.py"),
    script:
        "../scripts/dataset/simulate_sft.py"


rule collect_preferences:
    input:
        practice="results/{dataset}/adapter/{adapter}/dpo/practice.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
        model=lambda w: f"{files.weights_folder(w.adapter)}/model.safetensors",
        config=lambda w: f"{files.weights_folder(w.adapter)}/config.json",
        tokenizer=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/tokenizer.json",
        tokenizer_config=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/tokenizer_config.json",
        chat_template=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/chat_template.jinja",
        lora="results/{dataset}/adapter/{adapter}/adapter_model.safetensors",
        lora_config="results/{dataset}/adapter/{adapter}/adapter_config.json",
    output:
        preferences="results/{dataset}/adapter/{adapter}/dpo/collected.jsonl",
    log:
        "results/logs/{dataset}/collect_preferences/{adapter}.log",
    threads: workflow.cores
    params:
        settings=named(
            method=lookup("adapters/{adapter}/method", within=config),
            max_new_tokens=config["agent"]["max_new_tokens"],
        ),
        code=digest("adapt/collect_preferences.py", "train"),
    script:
        "../scripts/adapt/collect_preferences.py"


rule prepare_preferences:
    input:
        sources=lambda w: files.preferences(w.adapter),
    output:
        train="results/{dataset}/adapter/{adapter}/dpo/preferences.train.jsonl",
        validation="results/{dataset}/adapter/{adapter}/dpo/preferences.validation.jsonl",
        train_places="results/{dataset}/adapter/{adapter}/dpo/preferences.train.jsonl.places",
        validation_places="results/{dataset}/adapter/{adapter}/dpo/preferences.validation.jsonl.places",
    log:
        "results/logs/{dataset}/prepare_preferences/{adapter}.log",
    priority: 1
    params:
        settings=named(
            validation_share=0.05,
            seed=config["seeds"]["prepare"],
        ),
        code=digest("adapt/prepare_preferences.py"),
    script:
        "../scripts/adapt/prepare_preferences.py"


rule train_dpo:
    input:
        preferences="results/{dataset}/adapter/{adapter}/dpo/preferences.train.jsonl",
        held_out_preferences="results/{dataset}/adapter/{adapter}/dpo/preferences.validation.jsonl",
        held_out="results/{dataset}/prepared/sft.validation.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
        model=lambda w: f"{files.weights_folder(w.adapter)}/model.safetensors",
        config=lambda w: f"{files.weights_folder(w.adapter)}/config.json",
        tokenizer=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/tokenizer.json",
        tokenizer_config=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/tokenizer_config.json",
        chat_template=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/chat_template.jinja",
        lora="results/{dataset}/adapter/{adapter}/adapter_model.safetensors",
        lora_config="results/{dataset}/adapter/{adapter}/adapter_config.json",
    output:
        adapter="results/{dataset}/adapter/{adapter}/dpo/adapter_model.safetensors",
        adapter_config="results/{dataset}/adapter/{adapter}/dpo/adapter_config.json",
        figures="results/{dataset}/adapter/{adapter}/dpo/training.json",
        curve=report(
            "results/{dataset}/adapter/{adapter}/dpo/loss.csv",
            category="Training",
            caption="../report/loss.rst",
        ),
    log:
        "results/logs/{dataset}/train_dpo/{adapter}.log",
    threads: workflow.cores
    params:
        settings=named(
            method=lookup("adapters/{adapter}/method", within=config),
            beta=lookup("adapters/{adapter}/dpo/beta", within=config),
            learning_rate=lookup(
                "adapters/{adapter}/dpo/learning_rate", within=config
            ),
            epochs=lookup("adapters/{adapter}/dpo/epochs", within=config),
            batch_size=lookup("adapters/{adapter}/batch_size", within=config),
            gradient_accumulation=lookup(
                "adapters/{adapter}/gradient_accumulation", within=config
            ),
            gradient_checkpointing=lookup(
                "adapters/{adapter}/gradient_checkpointing", within=config
            ),
            max_length=lookup("adapters/{adapter}/max_length", within=config),
            precision=lambda w: files.base_of(w.adapter)[1]["precision"],
            seed=lookup("adapters/{adapter}/seed", within=config),
        ),
        code=digest("adapt/train_dpo.py", "train"),
    script:
        "../scripts/adapt/train_dpo.py"


rule merge_lora:
    input:
        model=lambda w: f"{files.weights_folder(w.adapter)}/model.safetensors",
        config=lambda w: f"{files.weights_folder(w.adapter)}/config.json",
        tokenizer=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/tokenizer.json",
        adapter=lambda w: f"{files.trained_folder(w.adapter)}/adapter_model.safetensors",
        adapter_config=lambda w: f"{files.trained_folder(w.adapter)}/adapter_config.json",
        text="results/{dataset}/gguf/{adapter}/held_out.jsonl",
        tokenizer_config=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/tokenizer_config.json",
        chat_template=lambda w: f"{files.base_folder(w.adapter)}/tokenizer/chat_template.jinja",
        conversations="results/{dataset}/prepared/sft.validation.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
    output:
        merged="results/{dataset}/adapter/{adapter}/merged/model.safetensors",
        merged_config="results/{dataset}/adapter/{adapter}/merged/config.json",
        gate="results/{dataset}/adapter/{adapter}/merge_gate.json",
    log:
        "results/logs/{dataset}/merge_lora/{adapter}.log",
    params:
        method=lookup("adapters/{adapter}/method", within=config),
        code=digest("adapt/merge_lora.py", "train"),
    script:
        "../scripts/adapt/merge_lora.py"
