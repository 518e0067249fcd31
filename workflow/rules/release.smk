# A release: a system in a self-contained folder that can be copied anywhere.


rule describe_gguf:
    input:
        gguf=lambda w: files.releases.parts(w.system)["gguf"],
    output:
        model="results/{dataset}/release/{system}/model.gguf",
    log:
        "results/logs/{dataset}/describe_gguf/{system}.log",
    resources:
        **needs("describe_gguf"),
    params:
        settings=settings(
            name=lambda w: f"{w.dataset}-{w.system}",
            description=lambda w: f"Specialist for {w.dataset}",
            license=config["release"]["license"],
            author=config["release"]["author"],
            base=lambda w: files.models.base_of(
                files.releases.parts(w.system)["model"]
            )[0],
        ),
        code=digest("release/describe_gguf.py", "gguf"),
    script:
        "../scripts/release/describe_gguf.py"


rule write_modelfile:
    input:
        gguf="results/{dataset}/release/{system}/model.gguf",
        prompt=lambda w: files.systems.prompt(w.system),
        tools=lambda w: files.systems.tools(w.system, w.dataset),
    output:
        modelfile="results/{dataset}/release/{system}/Modelfile",
    log:
        "results/logs/{dataset}/write_modelfile/{system}.log",
    resources:
        **needs("write_modelfile"),
    params:
        settings=settings(
            Generation,
            search=lambda w: "index" in config["systems"][w.system],
            license=config["release"]["license"],
        ),
        code=digest("release/write_modelfile.py", "gguf"),
    script:
        "../scripts/release/write_modelfile.py"


rule write_card:
    input:
        unpack(lambda w: files.releases.figures(w.system)),
        template="workflow/report/card.md.jinja",
        scores="results/{dataset}/agent/{system}/scores.json",
        baselines=lambda w: files.systems.baselines(w.system, w.dataset),
        leakage="results/{dataset}/prepared/leakage.json",
    output:
        card="results/{dataset}/release/{system}/README.md",
    log:
        "results/logs/{dataset}/write_card/{system}.log",
    resources:
        **needs("write_card"),
    params:
        settings=settings(
            name=lambda w: f"{w.dataset}-{w.system}",
            license=config["release"]["license"],
            data_license=config["release"]["data_license"],
            language=config["release"]["language"],
            author=config["release"]["author"],
            dataset=lambda w: w.dataset,
            source=lambda w: files.datasets.origin(w.dataset),
            parts=lambda w: files.releases.described(w.system, w.dataset),
        ),
        code=digest("release/write_card.py", "report", "rag"),
    script:
        "../scripts/release/write_card.py"


# Snakemake compares folders by time. This does not matter here: the folder is not an input of any
# rule, and verify.py compares its files by content.
rule make_release:
    input:
        model=f"results/{config['dataset']}/release/{{system}}/model.gguf",
        modelfile=f"results/{config['dataset']}/release/{{system}}/Modelfile",
        card=f"results/{config['dataset']}/release/{{system}}/README.md",
        license_text="LICENSE",
        prompt=lambda w: files.systems.prompt(w.system),
        tools=lambda w: files.systems.tools(w.system, config["dataset"]),
        database=lambda w: files.systems.database(w.system, config["dataset"]),
        articles=lambda w: files.releases.parts(w.system)["articles"],
        index=lambda w: files.releases.parts(w.system)["index"],
        tasks=f"results/{config['dataset']}/prepared/tasks.jsonl",
        scores=f"results/{config['dataset']}/agent/{{system}}/scores.json",
        baselines=lambda w: files.systems.baselines(w.system, config["dataset"]),
        programs=[
            f"workflow/scripts/{path}"
            for path in sources(
                "release/chat.py", "release/serve.py", "release/verify_release.py"
            )
        ],
        page=multiext("workflow/report/chat", ".html", ".css", ".js", "_parts.js"),
        requirements="envs/serve.txt",
    output:
        release=directory("results/release/{system}"),
    log:
        "results/logs/make_release/{system}.log",
    resources:
        **needs("make_release"),
    params:
        settings=settings(
            name=lambda w: f"{config['dataset']}-{w.system}",
            limits=lambda w: {
                "max_steps": config["agent"]["max_steps"],
                "context": config["agent"]["context"],
                "max_new_tokens": config["agent"]["max_new_tokens"],
                "top_k": config["retrieval"]["top_k"],
                "rules": files.systems.rules(w.system),
            },
            examples=5,
            sources=lambda w: files.releases.parts(w.system)["sources"],
            search=lambda w: files.indexes.how(
                config["systems"][w.system].get("index")
            ),
        ),
        code=digest("release/make_release.py", "serve"),
    script:
        "../scripts/release/make_release.py"
