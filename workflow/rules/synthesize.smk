# Training rows and tasks that a teacher writes from a dataset's articles, for `synthesize` of a dataset.
#
# One job for each article asks the teacher, and one the judge, if there is one. After an edit of an
# article, only its jobs run again.


rule synthesize_article:
    input:
        article=lambda w: files.datasets.article(w.dataset, w.document),
        weights=lambda w: files.indexes.weights(
            files.datasets.asked(w.dataset)["index"]
        ),
        prompts=lambda w: files.datasets.prompts(w.dataset, "article"),
        gguf=lambda w: files.datasets.teacher(w.dataset),
    output:
        candidates="results/{dataset}/synthetic/articles/{document}.jsonl",
    log:
        "results/logs/{dataset}/synthesize_article/{document}.log",
    wildcard_constraints:
        document=".+",
    threads: lambda w: workflow.cores if files.datasets.teacher(w.dataset) else 1
    params:
        settings=settings(
            Writing,
            source=lambda w: w.document,
            model=lambda w: files.indexes.entry(
                files.datasets.asked(w.dataset)["index"]
            )["embedding"],
            chunking=lambda w: files.indexes.chunking(
                files.datasets.asked(w.dataset)["index"]
            ),
            held_out=lambda w: files.datasets.holds_out(w.dataset),
        ),
        code=digest("synthesize/synthesize_article.py", "rag", "gguf"),
    script:
        "../scripts/synthesize/synthesize_article.py"


rule synthesize_requests:
    input:
        tools=lambda w: files.datasets.needed(w.dataset, "tools")[0],
        database=lambda w: files.datasets.file(w.dataset, "database"),
        prompts=lambda w: files.datasets.prompts(w.dataset, "requests", "conversations"),
        gguf=lambda w: files.datasets.teacher(w.dataset),
    output:
        candidates="results/{dataset}/synthetic/requests.jsonl",
    log:
        "results/logs/{dataset}/synthesize_requests.log",
    threads: lambda w: workflow.cores if files.datasets.teacher(w.dataset) else 1
    params:
        settings=settings(
            Asking,
            requests=lambda w: files.datasets.asked(w.dataset)["requests"],
            conversations=lambda w: files.datasets.asked(w.dataset)["conversations"],
            held_out=lambda w: files.datasets.asked(w.dataset)["tasks"] > 0,
        ),
        code=digest("synthesize/synthesize_requests.py", "gguf"),
    script:
        "../scripts/synthesize/synthesize_requests.py"


rule judge_candidates:
    input:
        candidates="results/{dataset}/synthetic/{written}.jsonl",
        prompts=lambda w: files.datasets.prompts(w.dataset, "judge"),
        gguf=lambda w: files.datasets.judge_weights(w.dataset),
    output:
        judged="results/{dataset}/synthetic/judged/{written}.jsonl",
    log:
        "results/logs/{dataset}/judge_candidates/{written}.log",
    wildcard_constraints:
        written="articles/.+|requests",
    threads: lambda w: workflow.cores if files.datasets.judge_weights(w.dataset) else 1
    params:
        settings=settings(
            judge=lambda w: files.datasets.judge(w.dataset),
            seed=lambda w: files.datasets.asked(w.dataset)["seed"],
        ),
        code=digest("synthesize/judge_candidates.py", "gguf"),
    script:
        "../scripts/synthesize/judge_candidates.py"


rule synthesize_rows:
    input:
        unpack(lambda w: files.indexes.plain(files.datasets.asked(w.dataset)["index"])),
        candidates=lambda w: files.datasets.candidates(w.dataset),
        tools=lambda w: files.datasets.requested(w.dataset)
        and files.datasets.file(w.dataset, "tools")
        or [],
        database=lambda w: files.datasets.requested(w.dataset)
        and files.datasets.file(w.dataset, "database")
        or [],
        prompts=lambda w: files.datasets.prompts(w.dataset, *PROMPTS),
        suite=lambda w: files.datasets.given(w.dataset, "tasks"),
    output:
        sft="results/{dataset}/synthetic/sft.jsonl",
        tasks="results/{dataset}/synthetic/tasks.jsonl",
        report="results/{dataset}/synthetic/report.json",
    log:
        "results/logs/{dataset}/synthesize_rows.log",
    params:
        settings=settings(
            Asking,
            Retrieval,
            search=lambda w: files.indexes.how(
                files.datasets.asked(w.dataset)["index"]
            ),
            most_tasks=lambda w: files.datasets.asked(w.dataset)["tasks"],
            most_conversations=lambda w: files.datasets.asked(w.dataset)[
                "conversations"
            ],
            judge=lambda w: files.datasets.asked(w.dataset).get("judge") is not None
            and files.datasets.judge(w.dataset)
            or None,
            # Each task must be playable within these limits.
            limits=lambda w: {
                key: config["agent"][key]
                for key in ("max_steps", "context", "max_messages")
            },
            articles=lambda w: files.datasets.sources(w.dataset),
        ),
        code=digest("synthesize/synthesize_rows.py", "rag", "gguf", "data"),
    script:
        "../scripts/synthesize/synthesize_rows.py"
