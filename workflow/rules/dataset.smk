# A dataset: simulated from a spec or the user's folder, checked, normalised and split.
#
# These rules have priority over all others, so mistakes in the data are found before any
# training.


rule simulate_corpus:
    input:
        spec=lambda w: files.datasets.spec(w.dataset, "corpus"),
    output:
        corpus="results/{dataset}/data/corpus/corpus.jsonl",
        cost="results/{dataset}/costs/simulate_corpus.json",
    log:
        "results/logs/{dataset}/simulate_corpus.log",
    priority: 1
    resources:
        **needs("simulate_corpus"),
    params:
        settings=settings(
            documents=lambda w: files.datasets.entry(w.dataset)["documents"],
            seed=config["seeds"]["simulate"],
        ),
        code=digest("dataset/simulate_corpus.py"),
    script:
        "../scripts/dataset/simulate_corpus.py"


rule simulate_sft:
    input:
        spec=lambda w: files.datasets.spec(w.dataset, "sft"),
    output:
        sft="results/{dataset}/data/sft.jsonl",
        cost="results/{dataset}/costs/simulate_sft.json",
    log:
        "results/logs/{dataset}/simulate_sft.log",
    priority: 1
    resources:
        **needs("simulate_sft"),
    params:
        settings=settings(
            episodes=lambda w: files.datasets.entry(w.dataset)["episodes"],
            dialogues=lambda w: files.datasets.entry(w.dataset)["dialogues"],
            seed=config["seeds"]["simulate"],
        ),
        code=digest("dataset/simulate_sft.py"),
    script:
        "../scripts/dataset/simulate_sft.py"


# One rule for each simulated dataset, because the spec determines the names of the articles.
for name, entry in config["datasets"].items():
    if "simulate" in entry:

        rule:
            name:
                f"simulate_kb_{name}"
            input:
                spec=files.datasets.spec(name, "kb"),
            output:
                articles=files.datasets.part(name, "kb"),
                cost=f"results/{name}/costs/simulate_kb.json",
            log:
                f"results/logs/{name}/simulate_kb.log",
            priority: 1
            resources:
                **needs(f"simulate_kb_{name}"),
            params:
                seed=config["seeds"]["simulate"],
                code=digest("dataset/simulate_kb.py"),
            script:
                "../scripts/dataset/simulate_kb.py"


rule simulate_tasks:
    input:
        spec=lambda w: files.datasets.spec(w.dataset, "tasks"),
    output:
        suite="results/{dataset}/data/tasks.jsonl",
        database="results/{dataset}/data/database.sql",
        cost="results/{dataset}/costs/simulate_tasks.json",
    log:
        "results/logs/{dataset}/simulate_tasks.log",
    priority: 1
    resources:
        **needs("simulate_tasks"),
    params:
        settings=settings(
            tasks=lambda w: files.datasets.entry(w.dataset)["tasks"],
            conversations=lambda w: files.datasets.entry(w.dataset)["conversations"],
            seed=config["seeds"]["simulate"],
        ),
        code=digest("dataset/simulate_tasks.py"),
    script:
        "../scripts/dataset/simulate_tasks.py"


rule simulate_tools:
    input:
        spec=lambda w: files.datasets.spec(w.dataset, "tools")[0],
    output:
        tools="results/{dataset}/data/tools.yaml",
    log:
        "results/logs/{dataset}/simulate_tools.log",
    priority: 1
    resources:
        **needs("simulate_tools"),
    params:
        code=digest("dataset/simulate_tools.py"),
    script:
        "../scripts/dataset/simulate_tools.py"


rule fetch_corpus:
    input:
        local=lambda w: files.datasets.local_copy(w.dataset),
    output:
        corpus="results/{dataset}/data/corpus.txt",
        cost="results/{dataset}/costs/fetch_corpus.json",
    log:
        "results/logs/{dataset}/fetch_corpus.log",
    priority: 1
    resources:
        **needs("fetch_corpus"),
    params:
        settings=settings(Corpus),
        code=digest("dataset/fetch_corpus.py"),
    script:
        "../scripts/dataset/fetch_corpus.py"


# Published figures apply to one split of a text, so this corpus is not shuffled like others.
rule split_corpus:
    input:
        corpus="results/{dataset}/data/corpus.txt",
    output:
        train="results/{dataset}/prepared/corpus.train.jsonl",
        validation="results/{dataset}/prepared/corpus.validation.jsonl",
        cost="results/{dataset}/costs/split_corpus.json",
    log:
        "results/logs/{dataset}/split_corpus.log",
    wildcard_constraints:
        dataset="|".join(files.datasets.fetched()) or "-",  # which is no name
    priority: 1
    resources:
        **needs("split_corpus"),
    params:
        validation_share=0.1,
        code=digest("dataset/split_corpus.py"),
    script:
        "../scripts/dataset/split_corpus.py"


ruleorder: split_corpus > prepare_corpus


rule prepare_tickets:
    input:
        sources=lambda w: files.datasets.needed(w.dataset, "tickets"),
    output:
        corpus="results/{dataset}/tickets/corpus.jsonl",
        held_out="results/{dataset}/prepared/tickets.held_out.jsonl",
        places="results/{dataset}/prepared/tickets.held_out.jsonl.places",
        stats="results/{dataset}/prepared/tickets.json",
        cost="results/{dataset}/costs/prepare_tickets.json",
    log:
        "results/logs/{dataset}/prepare_tickets.log",
    priority: 1
    resources:
        **needs("prepare_tickets"),
    params:
        settings=settings(
            columns=lambda w: files.datasets.ticket_settings(w.dataset)["columns"],
            agents=lambda w: files.datasets.ticket_settings(w.dataset)["agents"],
            share=lambda w: files.datasets.ticket_settings(w.dataset)["held_out"],
            unreadable=lambda w: files.datasets.entry(w.dataset)["unreadable"],
            seed=config["seeds"]["prepare"],
        ),
        code=digest("dataset/prepare_tickets.py", "data", "tickets"),
    script:
        "../scripts/dataset/prepare_tickets.py"


rule prepare_corpus:
    input:
        sources=lambda w: files.datasets.needed(w.dataset, "corpus"),
    output:
        train="results/{dataset}/prepared/corpus.train.jsonl",
        validation="results/{dataset}/prepared/corpus.validation.jsonl",
        train_places="results/{dataset}/prepared/corpus.train.jsonl.places",
        validation_places="results/{dataset}/prepared/corpus.validation.jsonl.places",
        stats="results/{dataset}/prepared/corpus.json",
        cost="results/{dataset}/costs/prepare_corpus.json",
    log:
        "results/logs/{dataset}/prepare_corpus.log",
    priority: 1
    resources:
        **needs("prepare_corpus"),
    params:
        settings=settings(
            validation_share=0.02,
            seed=config["seeds"]["prepare"],
        ),
        code=digest("dataset/prepare_corpus.py", "data"),
    script:
        "../scripts/dataset/prepare_corpus.py"


rule prepare_sft:
    input:
        sources=lambda w: files.datasets.needed(w.dataset, "sft"),
    output:
        train="results/{dataset}/prepared/sft.train.jsonl",
        validation="results/{dataset}/prepared/sft.validation.jsonl",
        train_places="results/{dataset}/prepared/sft.train.jsonl.places",
        validation_places="results/{dataset}/prepared/sft.validation.jsonl.places",
        stats="results/{dataset}/prepared/sft.json",
        cost="results/{dataset}/costs/prepare_sft.json",
    log:
        "results/logs/{dataset}/prepare_sft.log",
    priority: 1
    resources:
        **needs("prepare_sft"),
    params:
        settings=settings(
            columns=lambda w: files.datasets.entry(w.dataset)["columns"],
            validation_share=0.05,
            seed=config["seeds"]["prepare"],
        ),
        code=digest("dataset/prepare_sft.py"),
    script:
        "../scripts/dataset/prepare_sft.py"


rule prepare_tasks:
    input:
        suite=lambda w: files.datasets.needed(w.dataset, "tasks"),
        tools=lambda w: files.datasets.file(w.dataset, "tools"),
        database=lambda w: files.datasets.file(w.dataset, "database"),
    output:
        tasks="results/{dataset}/prepared/tasks.jsonl",
        cost="results/{dataset}/costs/prepare_tasks.json",
    log:
        "results/logs/{dataset}/prepare_tasks.log",
    priority: 1
    resources:
        **needs("prepare_tasks"),
    params:
        # Only their names matter here: an edited article does not change the tasks.
        articles=lambda w: files.datasets.sources(w.dataset),
        max_steps=config["agent"]["max_steps"],
        context=config["agent"]["context"],
        max_messages=config["agent"]["max_messages"],
        code=digest("dataset/prepare_tasks.py"),
    script:
        "../scripts/dataset/prepare_tasks.py"


rule audit_leakage:
    input:
        tasks="results/{dataset}/prepared/tasks.jsonl",
        training=main.systems.training(),
    output:
        leakage="results/{dataset}/prepared/leakage.json",
        cost="results/{dataset}/costs/audit_leakage.json",
    log:
        "results/logs/{dataset}/audit_leakage.log",
    priority: 1
    resources:
        **needs("audit_leakage"),
    params:
        max_leaking_tasks=lambda w: files.datasets.entry(w.dataset)["max_leaking_tasks"],
        code=digest("dataset/audit_leakage.py"),
    script:
        "../scripts/dataset/audit_leakage.py"


rule render_prompt:
    input:
        template=config["agent"]["prompt"],
        tools=lambda w: files.datasets.file(w.dataset, "tools"),
    output:
        prompt="results/{dataset}/prepared/system_prompt.txt",
    log:
        "results/logs/{dataset}/render_prompt.log",
    priority: 1
    resources:
        **needs("render_prompt"),
    params:
        search=lambda w: files.systems.searches(w.dataset),
        code=digest("dataset/render_prompt.py"),
    script:
        "../scripts/dataset/render_prompt.py"
