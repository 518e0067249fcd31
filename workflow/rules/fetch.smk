# An imported base model: checked, copied, and optionally pretrained further.


rule fetch_tokenizer:
    input:
        source=lambda w: files.models.source(w.base),
        turns=multiext(
            "resources/prompts/turns/",
            "fixed_date.jinja",
            "tool_as_user.jinja",
            "system_in_user.jinja",
        ),
    output:
        tokenizer="results/{dataset}/base/{base}/tokenizer/tokenizer.json",
        tokenizer_config="results/{dataset}/base/{base}/tokenizer/tokenizer_config.json",
        chat_template="results/{dataset}/base/{base}/tokenizer/chat_template.jinja",
        sentencepiece="results/{dataset}/base/{base}/tokenizer/sentencepiece.model",
        gate="results/{dataset}/base/{base}/tokenizer/gate.json",
        cost="results/{dataset}/costs/fetch_tokenizer/{base}.json",
    log:
        "results/logs/{dataset}/fetch_tokenizer/{base}.log",
    wildcard_constraints:
        base=files.models.bases(imported=True),
    priority: 1  # it checks the base
    resources:
        **needs("fetch_tokenizer"),
    params:
        settings=settings(
            HubModel,
            base=lambda w: w.base,
            gguf=lambda w: in_gguf(config["bases"][w.base]),
            context=lambda w: config["bases"][w.base]["context"],
            targets=lambda w: files.models.targets(w.base),
            quantizations=[
                llama_type(kind)
                for kind in config["quantizations"]
                if config["strict_quantization"]
            ],
        ),
        code=digest("fetch/fetch_tokenizer.py", "train", "gguf"),
    script:
        "../scripts/fetch/fetch_tokenizer.py"


rule fetch_base:
    input:
        source=lambda w: files.models.source(w.base, weights=True),
        tokenizer="results/{dataset}/base/{base}/tokenizer/tokenizer.json",
    output:
        model="results/{dataset}/base/{base}/model/model.safetensors",
        config="results/{dataset}/base/{base}/model/config.json",
        cost="results/{dataset}/costs/fetch_base/{base}.json",
    log:
        "results/logs/{dataset}/fetch_base/{base}.log",
    wildcard_constraints:
        base=files.models.bases(imported=True, gguf=False),
    priority: 1
    resources:
        **needs("fetch_base"),
    params:
        settings=settings(HubModel, base=lambda w: w.base),
        code=digest("fetch/fetch_base.py", "train"),
    script:
        "../scripts/fetch/fetch_base.py"


rule dequantize_base:
    input:
        source=lambda w: files.models.source(w.base, weights=True),
        tokenizer="results/{dataset}/base/{base}/tokenizer/tokenizer.json",
        tokenizer_config="results/{dataset}/base/{base}/tokenizer/tokenizer_config.json",
        chat_template="results/{dataset}/base/{base}/tokenizer/chat_template.jinja",
    output:
        model="results/{dataset}/base/{base}/model/model.safetensors",
        config="results/{dataset}/base/{base}/model/config.json",
        source_facts="results/{dataset}/base/{base}/model/source.json",
        gate="results/{dataset}/base/{base}/model/gate.json",
        cost="results/{dataset}/costs/dequantize_base/{base}.json",
    log:
        "results/logs/{dataset}/dequantize_base/{base}.log",
    wildcard_constraints:
        base=files.models.bases(imported=True, gguf=True),
    priority: 1
    resources:
        **needs("dequantize_base"),
    params:
        base=lambda w: w.base,
        code=digest("fetch/dequantize_base.py", "train", "gguf"),
    script:
        "../scripts/fetch/dequantize_base.py"


rule continue_pretraining:
    input:
        tokens="results/{dataset}/base/{base}/tokens/train.npy",
        held_out_tokens="results/{dataset}/base/{base}/tokens/validation.npy",
        stats="results/{dataset}/base/{base}/tokens/stats.json",
        tokenizer="results/{dataset}/base/{base}/tokenizer/tokenizer.json",
        tokenizer_config="results/{dataset}/base/{base}/tokenizer/tokenizer_config.json",
        start="results/{dataset}/base/{base}/model/model.safetensors",
        start_config="results/{dataset}/base/{base}/model/config.json",
    output:
        model="results/{dataset}/base/{base}/continued/model.safetensors",
        config="results/{dataset}/base/{base}/continued/config.json",
        curve=report(
            "results/{dataset}/base/{base}/loss.csv",
            category="Training",
            caption="../report/loss.rst",
        ),
        figures="results/{dataset}/base/{base}/pretraining.json",
        cost="results/{dataset}/costs/continue_pretraining/{base}.json",
    log:
        "results/logs/{dataset}/continue_pretraining/{base}.log",
    wildcard_constraints:
        base=files.models.bases(imported=True),
    threads: all_cores
    resources:
        **needs("continue_pretraining"),
    params:
        settings=settings(FurtherPretraining),
        code=lambda w: digest_once(
            files.models.script("fetch/continue_pretraining.py", w.base), "train"
        ),
    script:
        "../scripts/fetch/continue_pretraining.py"
