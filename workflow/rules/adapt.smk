# An adapter: LoRA or a variant on a frozen base, merged into it; or full fine-tuning.


rule mix_general:
    input:
        conversations="results/{dataset}/prepared/sft.train.jsonl",
        text=lambda w: files.models.mixed_text(w.adapter),
        held_out=files.models.general_text(),
    output:
        mixed="results/{dataset}/adapter/{adapter}/mixed.train.jsonl",
        general="results/{dataset}/adapter/{adapter}/general.train.jsonl",
        cost="results/{dataset}/costs/mix_general/{adapter}.json",
    log:
        "results/logs/{dataset}/mix_general/{adapter}.log",
    resources:
        **needs("mix_general"),
    params:
        settings=settings(
            share=lambda w: config["adapters"][w.adapter]["mix_general"],
            max_length=lambda w: config["adapters"][w.adapter]["max_length"],
            seed=lambda w: config["adapters"][w.adapter]["seed"],
        ),
        code=digest("adapt/mix_general.py"),
    script:
        "../scripts/adapt/mix_general.py"


rule train_lora:
    input:
        unpack(lambda w: files.models.frozen(w.adapter)),
        conversations=lambda w: files.models.conversations(w.adapter),
        held_out="results/{dataset}/prepared/sft.validation.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
        pretraining_tokens=lambda w: files.models.pretraining_tokens(w.adapter),
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
        cost="results/{dataset}/costs/train_lora/{adapter}.json",
    log:
        "results/logs/{dataset}/train_lora/{adapter}.log",
    threads: lambda w: cores(w.adapter, evaluated, all_cores)
    resources:
        **needs("train_lora"),
    params:
        settings=settings(
            LoraTraining,
            precision=lambda w: files.models.precision(w.adapter),
            pretrained_on=lambda w: files.models.base_of(w.adapter)[1]["train_tokens"],
        ),
        code=lambda w: digest_once(
            files.models.script("adapt/train_lora.py", w.adapter), "train"
        ),
    script:
        "../scripts/adapt/train_lora.py"


rule render_text:
    input:
        documents=lambda w: files.models.corpus(w.model),
        conversations="results/{dataset}/prepared/sft.validation.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
        template=lambda w: files.models.tokenizer(w.model)["chat_template"],
        tokenizer_config=lambda w: files.models.tokenizer(w.model)["tokenizer_config"],
    output:
        text="results/{dataset}/gguf/{model}/held_out.jsonl",
        cost="results/{dataset}/costs/render_text/{model}.json",
    log:
        "results/logs/{dataset}/render_text/{model}.log",
    resources:
        **needs("render_text"),
    params:
        code=digest("adapt/render_text.py"),
    script:
        "../scripts/adapt/render_text.py"


# An adapter with `dpo` has a second training stage on preferences. For a simulated dataset, the
# preferences are the adapter's own mistakes on new training episodes.


rule simulate_practice:
    input:
        spec=lambda w: files.datasets.spec(w.dataset, "sft"),
    output:
        sft="results/{dataset}/adapter/{adapter}/dpo/practice.jsonl",
        cost="results/{dataset}/costs/simulate_practice/{adapter}.json",
    log:
        "results/logs/{dataset}/simulate_practice/{adapter}.log",
    resources:
        **needs("simulate_practice"),
    params:
        settings=settings(
            episodes=lambda w: config["adapters"][w.adapter]["dpo"]["episodes"],
            dialogues=0,
            seed=config["seeds"]["simulate"] + 1,
        ),
        code=digest("dataset/simulate_sft.py"),
    script:
        "../scripts/dataset/simulate_sft.py"


rule collect_preferences:
    input:
        unpack(lambda w: files.models.frozen(w.adapter)),
        practice="results/{dataset}/adapter/{adapter}/dpo/practice.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
        lora="results/{dataset}/adapter/{adapter}/adapter_model.safetensors",
        lora_config="results/{dataset}/adapter/{adapter}/adapter_config.json",
    output:
        preferences="results/{dataset}/adapter/{adapter}/dpo/collected.jsonl",
        cost="results/{dataset}/costs/collect_preferences/{adapter}.json",
    log:
        "results/logs/{dataset}/collect_preferences/{adapter}.log",
    threads: all_cores
    resources:
        **needs("collect_preferences"),
    params:
        settings=settings(
            method=lambda w: config["adapters"][w.adapter]["method"],
            max_new_tokens=config["agent"]["max_new_tokens"],
        ),
        code=digest("adapt/collect_preferences.py", "train"),
    script:
        "../scripts/adapt/collect_preferences.py"


rule prepare_preferences:
    input:
        sources=lambda w: files.models.preferences(w.adapter),
    output:
        train="results/{dataset}/adapter/{adapter}/dpo/preferences.train.jsonl",
        validation="results/{dataset}/adapter/{adapter}/dpo/preferences.validation.jsonl",
        train_places="results/{dataset}/adapter/{adapter}/dpo/preferences.train.jsonl.places",
        validation_places="results/{dataset}/adapter/{adapter}/dpo/preferences.validation.jsonl.places",
        cost="results/{dataset}/costs/prepare_preferences/{adapter}.json",
    log:
        "results/logs/{dataset}/prepare_preferences/{adapter}.log",
    priority: 1
    resources:
        **needs("prepare_preferences"),
    params:
        settings=settings(
            validation_share=0.05,
            seed=config["seeds"]["prepare"],
        ),
        code=digest("adapt/prepare_preferences.py"),
    script:
        "../scripts/adapt/prepare_preferences.py"


rule train_dpo:
    input:
        unpack(lambda w: files.models.frozen(w.adapter)),
        preferences="results/{dataset}/adapter/{adapter}/dpo/preferences.train.jsonl",
        held_out_preferences="results/{dataset}/adapter/{adapter}/dpo/preferences.validation.jsonl",
        held_out="results/{dataset}/prepared/sft.validation.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
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
        cost="results/{dataset}/costs/train_dpo/{adapter}.json",
    log:
        "results/logs/{dataset}/train_dpo/{adapter}.log",
    threads: all_cores
    resources:
        **needs("train_dpo"),
    params:
        settings=settings(
            Batches,
            DpoTraining,
            precision=lambda w: files.models.precision(w.adapter),
        ),
        code=digest("adapt/train_dpo.py", "train"),
    script:
        "../scripts/adapt/train_dpo.py"


rule merge_lora:
    input:
        unpack(lambda w: files.models.frozen(w.adapter)),
        unpack(lambda w: files.models.trained(w.adapter)),
        text="results/{dataset}/gguf/{adapter}/held_out.jsonl",
        conversations="results/{dataset}/prepared/sft.validation.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
    output:
        merged="results/{dataset}/adapter/{adapter}/merged/model.safetensors",
        merged_config="results/{dataset}/adapter/{adapter}/merged/config.json",
        gate="results/{dataset}/adapter/{adapter}/merge_gate.json",
        cost="results/{dataset}/costs/merge_lora/{adapter}.json",
    log:
        "results/logs/{dataset}/merge_lora/{adapter}.log",
    resources:
        **needs("merge_lora"),
    params:
        method=lambda w: config["adapters"][w.adapter]["method"],
        code=digest("adapt/merge_lora.py", "train"),
    script:
        "../scripts/adapt/merge_lora.py"
