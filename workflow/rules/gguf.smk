# GGUF files of a base or an adapter: converted, quantised, measured against F16 and on general text.


rule convert_gguf:
    input:
        unpack(lambda w: files.models.whole(w.model)),
        sentencepiece=lambda w: files.models.sentencepiece(w.model),
        text="results/{dataset}/gguf/{model}/held_out.jsonl",
    output:
        gguf="results/{dataset}/gguf/{model}/F16.gguf",
        gate="results/{dataset}/gguf/{model}/convert_gate.json",
        cost="results/{dataset}/costs/convert_gguf/{model}.json",
    log:
        "results/logs/{dataset}/convert_gguf/{model}.log",
    resources:
        **needs("convert_gguf"),
    params:
        name="{dataset}-{model}",
        code=digest("gguf/convert_gguf.py", "gguf"),
    script:
        "../scripts/gguf/convert_gguf.py"


rule measure_importance:
    input:
        unpack(lambda w: files.models.whole(w.model)),
        conversations="results/{dataset}/prepared/sft.train.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
    output:
        imatrix="results/{dataset}/gguf/{model}/imatrix.gguf",
        cost="results/{dataset}/costs/measure_importance/{model}.json",
    log:
        "results/logs/{dataset}/measure_importance/{model}.log",
    threads: all_cores
    resources:
        **needs("measure_importance"),
    params:
        code=digest("gguf/measure_importance.py", "train", "gguf"),
    script:
        "../scripts/gguf/measure_importance.py"


rule quantize:
    input:
        f16="results/{dataset}/gguf/{model}/F16.gguf",
        imatrix=lambda w: files.models.imatrix(w.model, w.quantization),
    output:
        gguf="results/{dataset}/gguf/{model}/{quantization}.gguf",
        cost="results/{dataset}/costs/quantize/{model}.{quantization}.json",
    log:
        "results/logs/{dataset}/quantize/{model}.{quantization}.log",
    resources:
        **needs("quantize"),
    params:
        settings=settings(
            type=lambda w: llama_type(w.quantization),
            strict=config["strict_quantization"],
        ),
        code=digest("gguf/quantize.py", "gguf"),
    script:
        "../scripts/gguf/quantize.py"


rule measure_gguf:
    input:
        f16="results/{dataset}/gguf/{model}/F16.gguf",
        gguf="results/{dataset}/gguf/{model}/{quantization}.gguf",
        base=lambda w: files.models.base_gguf(w.model, w.quantization),
        text="results/{dataset}/gguf/{model}/held_out.jsonl",
    output:
        measures="results/{dataset}/gguf/{model}/measures/{quantization}.json",
        cost="results/{dataset}/costs/measure_gguf/{model}.{quantization}.json",
    log:
        "results/logs/{dataset}/measure_gguf/{model}.{quantization}.log",
    wildcard_constraints:
        quantization="|".join(["F16", *config["quantizations"]]),
    threads: requests.threads
    resources:
        **needs("measure_gguf"),
        measures_speed=1,
    params:
        settings=settings(tokens=4096, rounds=5),
        code=digest("gguf/measure_gguf.py", "gguf"),
    script:
        "../scripts/gguf/measure_gguf.py"


rule measure_general:
    input:
        gguf="results/{dataset}/gguf/{model}/{quantization}.gguf",
        text=files.models.general_text(),
    output:
        general="results/{dataset}/gguf/{model}/general/{quantization}.json",
        cost="results/{dataset}/costs/measure_general/{model}.{quantization}.json",
    log:
        "results/logs/{dataset}/measure_general/{model}.{quantization}.log",
    wildcard_constraints:
        quantization="|".join(["F16", *config["quantizations"]]),
    threads: requests.threads
    resources:
        **needs("measure_general"),
    params:
        kilobytes=config["forgetting"]["kilobytes"],
        code=digest("gguf/measure_general.py", "gguf"),
    script:
        "../scripts/gguf/measure_general.py"
