# The agent: runs every task with every system, scores it, and collects one result.


rule run_agent:
    input:
        unpack(lambda w: files.systems.inputs(w.system)),
        tasks="results/{dataset}/prepared/tasks.jsonl",
        tools=lambda w: files.systems.tools(w.system, w.dataset),
        database=lambda w: files.datasets.file(w.dataset, "database"),
        prompt=lambda w: files.systems.prompt(w.system),
    output:
        traces="results/{dataset}/agent/{system}/traces.jsonl",
        times="results/{dataset}/agent/{system}/times.jsonl",
        cost="results/{dataset}/costs/run_agent/{system}.json",
    log:
        "results/logs/{dataset}/run_agent/{system}.log",
    # Policies need no model, and the oracle checks the tasks. So they run before any training.
    priority: lambda w: int("policy" in config["systems"][w.system])
    threads: requests.threads
    resources:
        **needs("run_agent"),
        measures_speed=1,
    params:
        settings=settings(
            AgentLimits,
            Retrieval,
            policy=lambda w: config["systems"][w.system].get("policy", "model"),
            search=lambda w: files.indexes.how(
                config["systems"][w.system].get("index")
            ),
            seed=config["seeds"]["agent"],
            rules=lambda w: files.systems.rules(w.system),
            trials=lambda w: config["systems"][w.system]["trials"],
            sample=lambda w: config["systems"][w.system].get("tasks"),
        ),
        code=digest("agent/run_agent.py", "gguf", "rag"),
    script:
        "../scripts/agent/run_agent.py"


# The same with a model that another program serves.
rule run_served:
    input:
        unpack(lambda w: files.systems.prompting(w.system)),
        tasks="results/{dataset}/prepared/tasks.jsonl",
        tools=lambda w: files.systems.tools(w.system, w.dataset),
        database=lambda w: files.datasets.file(w.dataset, "database"),
        prompt=lambda w: files.systems.prompt(w.system),
    output:
        traces="results/{dataset}/agent/{system}/traces.jsonl",
        times="results/{dataset}/agent/{system}/times.jsonl",
        served="results/{dataset}/agent/{system}/served.json",
        cost="results/{dataset}/costs/run_served/{system}.json",
    log:
        "results/logs/{dataset}/run_served/{system}.log",
    wildcard_constraints:
        system="|".join(files.systems.served()) or "(?!)",
    resources:
        **needs("run_served"),
        measures_speed=1,
    params:
        settings=settings(
            AgentLimits,
            Retrieval,
            engine=lambda w: files.systems.engine(w.system),
            identity=lambda w: files.systems.identity(w.system, w.dataset),
            search=lambda w: files.indexes.how(
                config["systems"][w.system].get("index")
            ),
            rules=lambda w: files.systems.rules(w.system),
            trials=lambda w: config["systems"][w.system]["trials"],
            sample=lambda w: config["systems"][w.system].get("tasks"),
        ),
        code=digest("agent/run_served.py", "train", "gguf", "rag"),
    script:
        "../scripts/agent/run_served.py"


ruleorder: run_served > run_agent


# The served model must act as the same model in llama.cpp here.
rule compare_served:
    input:
        unpack(lambda w: files.systems.inputs(w.system)),
        traces="results/{dataset}/agent/{system}/traces.jsonl",
        tasks="results/{dataset}/prepared/tasks.jsonl",
        tools=lambda w: files.systems.tools(w.system, w.dataset),
        database=lambda w: files.datasets.file(w.dataset, "database"),
        prompt=lambda w: files.systems.prompt(w.system),
    output:
        gate="results/{dataset}/agent/{system}/engine_gate.json",
    log:
        "results/logs/{dataset}/compare_served/{system}.log",
    wildcard_constraints:
        system="|".join(files.systems.served()) or "(?!)",
    threads: requests.threads
    resources:
        **needs("compare_served"),
    params:
        settings=settings(
            Generation,
            Retrieval,
            max_steps=config["agent"]["max_steps"],
            max_messages=config["agent"]["max_messages"],
            search=lambda w: files.indexes.how(
                config["systems"][w.system].get("index")
            ),
            rules=lambda w: files.systems.rules(w.system),
        ),
        code=digest("agent/compare_served.py", "gguf", "rag"),
    script:
        "../scripts/agent/compare_served.py"


rule score:
    input:
        traces="results/{dataset}/agent/{system}/traces.jsonl",
        times="results/{dataset}/agent/{system}/times.jsonl",
        tasks="results/{dataset}/prepared/tasks.jsonl",
        tools=lambda w: files.datasets.file(w.dataset, "tools"),
        gguf=lambda w: files.systems.runs(w.system),
    output:
        scores="results/{dataset}/agent/{system}/scores.json",
        cost="results/{dataset}/costs/score/{system}.json",
    log:
        "results/logs/{dataset}/score/{system}.log",
    priority: lambda w: int("policy" in config["systems"][w.system])  # see run_agent
    resources:
        **needs("score"),
    params:
        settings=settings(
            Declining,
            scripted=lambda w: config["systems"][w.system].get("policy") == "scripted",
            sample=lambda w: config["systems"][w.system].get("tasks"),
        ),
        code=digest("agent/score.py", "gguf"),
    script:
        "../scripts/agent/score.py"


rule collect_eval:
    input:
        scores=main.systems.each("scores.json"),
        served=[
            main.systems.file(name, "served.json") for name in main.systems.served()
        ],
        measures=main.systems.measures(),
        general=main.systems.general(),
        source_facts=main.models.source_facts(main.systems.headline_model()),
        retrieval=main.systems.retrieval(),
        gates=list(main.systems.gates().values()),
        leakage=main.datasets.prepared(evaluated["dataset"], "leakage.json"),
        tasks=main.datasets.prepared(evaluated["dataset"], "tasks.jsonl"),
        schema="workflow/schemas/agent_eval.schema.json",
        template="workflow/report/summary.md.jinja",
    output:
        agent_eval="results/agent_eval.json",
        summary=report(
            "results/summary.md", category="Result", caption="../report/summary.rst"
        ),
    log:
        "results/logs/collect_eval.log",
    resources:
        **needs("collect_eval"),
        measures_speed=1,
    params:
        settings=settings(
            # Without the settings that do not affect the result: cache, checkpoints, tracking,
            # preflight, paper and release.
            config={
                key: value
                for key, value in evaluated.items()
                if key
                not in (
                    "cache",
                    "checkpoint_seconds",
                    "tracking",
                    "preflight",
                    "resources",
                    "paper",
                    "papers",
                    "release",
                    "shapes",
                    "benchmarks",
                )
            },
            quantizations=main.systems.measured(),
            general_text=main.models.general_text(),
            forgotten=main.systems.forgotten(),
            stages=list(main.systems.gates()),
            engines=main.systems.served(),
        ),
        code=digest("agent/collect_eval.py", "report"),
    script:
        "../scripts/agent/collect_eval.py"


rule plot_systems:
    input:
        agent_eval="results/agent_eval.json",
    output:
        plot=report(
            "results/systems.svg", category="Result", caption="../report/systems.rst"
        ),
    log:
        "results/logs/plot_systems.log",
    resources:
        **needs("plot_systems"),
    params:
        code=digest("agent/plot_systems.py", "report"),
    script:
        "../scripts/agent/plot_systems.py"
