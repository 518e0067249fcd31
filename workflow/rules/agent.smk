# The agent: every task with every system, judged, and put together in one result.


rule run_agent:
    input:
        tasks="results/{dataset}/prepared/tasks.jsonl",
        tools=lambda w: files.part(w.dataset, "tools"),
        database=lambda w: files.part(w.dataset, "database"),
        gguf=lambda w: files.system_files(w.system)["gguf"],
        store=lambda w: files.system_files(w.system)["store"],
        settings=lambda w: files.system_files(w.system)["settings"],
        encoder=lambda w: files.system_files(w.system)["encoder"],
        prompt=config["agent"]["prompt"],
    output:
        traces="results/{dataset}/agent/{system}/traces.jsonl",
    log:
        "results/logs/{dataset}/run_agent/{system}.log",
    params:
        policy=lambda w: config["systems"][w.system].get("policy", "model"),
        max_steps=config["agent"]["max_steps"],
        context=config["agent"]["context"],
        max_new_tokens=config["agent"]["max_new_tokens"],
        top_k=config["retrieval"]["top_k"],
        seed=config["seeds"]["agent"],
        code=digest("run_agent.py", "gguf", "rag"),
    script:
        "../scripts/run_agent.py"


rule score:
    input:
        traces="results/{dataset}/agent/{system}/traces.jsonl",
        tasks="results/{dataset}/prepared/tasks.jsonl",
        gguf=lambda w: files.system_files(w.system)["gguf"],
    output:
        scores="results/{dataset}/agent/{system}/scores.json",
    log:
        "results/logs/{dataset}/score/{system}.log",
    params:
        code=digest("score.py", "report"),
    script:
        "../scripts/score.py"
