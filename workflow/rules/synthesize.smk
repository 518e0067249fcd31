# Training rows and tasks that a teacher writes from a dataset's articles, for `synthesize` of a dataset.
#
# The teacher is asked by one job for each article: an edited article is asked about again alone.


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
            held_out=lambda w: files.datasets.asked(w.dataset)["tasks"] > 0,
        ),
        code=digest("synthesize/synthesize_article.py", "rag", "gguf"),
    script:
        "../scripts/synthesize/synthesize_article.py"


rule synthesize_requests:
    input:
        tools=lambda w: files.datasets.needed(w.dataset, "tools")[0],
        database=lambda w: files.datasets.file(w.dataset, "database"),
        prompts=lambda w: files.datasets.prompts(w.dataset, "requests"),
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
            held_out=lambda w: files.datasets.asked(w.dataset)["tasks"] > 0,
        ),
        code=digest("synthesize/synthesize_requests.py", "gguf"),
    script:
        "../scripts/synthesize/synthesize_requests.py"


rule synthesize_rows:
    input:
        unpack(lambda w: files.indexes.plain(files.datasets.asked(w.dataset)["index"])),
        candidates=lambda w: files.datasets.candidates(w.dataset),
        requests=lambda w: files.datasets.requests(w.dataset),
        tools=lambda w: files.datasets.requests(w.dataset)
        and files.datasets.file(w.dataset, "tools"),
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
        ),
        code=digest("synthesize/synthesize_rows.py", "rag", "gguf", "data"),
    script:
        "../scripts/synthesize/synthesize_rows.py"
