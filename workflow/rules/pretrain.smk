# A base model: tokenizer, tokens, pretraining from scratch.


rule train_tokenizer:
    input:
        corpus="results/{dataset}/prepared/corpus.train.jsonl",
        template="resources/prompts/chat_template.jinja",
    output:
        tokenizer="results/{dataset}/base/{base}/tokenizer/tokenizer.json",
        tokenizer_config="results/{dataset}/base/{base}/tokenizer/tokenizer_config.json",
        chat_template="results/{dataset}/base/{base}/tokenizer/chat_template.jinja",
        cost="results/{dataset}/costs/train_tokenizer/{base}.json",
    log:
        "results/logs/{dataset}/train_tokenizer/{base}.log",
    wildcard_constraints:
        base=files.models.bases(imported=False),
    resources:
        **needs("train_tokenizer"),
    params:
        vocab_size=lambda w: config["bases"][w.base]["vocab_size"],
        code=digest("pretrain/train_tokenizer.py", "train"),
    script:
        "../scripts/pretrain/train_tokenizer.py"


rule tokenize_corpus:
    input:
        corpus="results/{dataset}/prepared/corpus.train.jsonl",
        held_out="results/{dataset}/prepared/corpus.validation.jsonl",
        tokenizer="results/{dataset}/base/{base}/tokenizer/tokenizer.json",
        tokenizer_config="results/{dataset}/base/{base}/tokenizer/tokenizer_config.json",
        template="results/{dataset}/base/{base}/tokenizer/chat_template.jinja",
    output:
        tokens="results/{dataset}/base/{base}/tokens/train.npy",
        held_out_tokens="results/{dataset}/base/{base}/tokens/validation.npy",
        stats="results/{dataset}/base/{base}/tokens/stats.json",
        cost="results/{dataset}/costs/tokenize_corpus/{base}.json",
    log:
        "results/logs/{dataset}/tokenize_corpus/{base}.log",
    resources:
        **needs("tokenize_corpus"),
    params:
        code=digest("pretrain/tokenize_corpus.py", "train"),
    script:
        "../scripts/pretrain/tokenize_corpus.py"


rule pretrain:
    input:
        tokens="results/{dataset}/base/{base}/tokens/train.npy",
        held_out_tokens="results/{dataset}/base/{base}/tokens/validation.npy",
        stats="results/{dataset}/base/{base}/tokens/stats.json",
        tokenizer="results/{dataset}/base/{base}/tokenizer/tokenizer.json",
    output:
        model="results/{dataset}/base/{base}/model/model.safetensors",
        config="results/{dataset}/base/{base}/model/config.json",
        curve=report(
            "results/{dataset}/base/{base}/loss.csv",
            category="Training",
            caption="../report/loss.rst",
        ),
        figures="results/{dataset}/base/{base}/pretraining.json",
        cost="results/{dataset}/costs/pretrain/{base}.json",
    log:
        "results/logs/{dataset}/pretrain/{base}.log",
    wildcard_constraints:
        base=files.models.bases(imported=False),
    threads: lambda w: cores(w.base, evaluated, all_cores)
    resources:
        **needs("pretrain"),
    params:
        settings=settings(Pretraining),
        code=lambda w: digest_once(
            files.models.script("pretrain/pretrain.py", w.base), "train"
        ),
    script:
        "../scripts/pretrain/pretrain.py"
