# A search index of a knowledge base: chunks, embeddings, Chroma store, learned queries, measure.
SHARD = r"\d+-of-\d+"  # names of the parts of an index; see config/paths/indexes.py


rule convert_document:
    input:
        document=lambda w: f"{files.datasets.entry(w.dataset)['path']}/kb/{w.document}",
    output:
        markdown="results/{dataset}/documents/{document}.md",
        cost="results/{dataset}/costs/convert_document/{document}.json",
    log:
        "results/logs/{dataset}/convert_document/{document}.log",
    wildcard_constraints:
        document=r".+\.(?i:html?|pdf|docx|csv|xlsx)",
    priority: 1  # it checks the documents
    resources:
        **needs("convert_document"),
    params:
        unreadable=lambda w: files.datasets.entry(w.dataset)["unreadable"],
        code=digest("index/convert_document.py", "documents"),
    script:
        "../scripts/index/convert_document.py"


rule chunk_kb:
    input:
        articles=lambda w: files.datasets.articles(w.dataset),
        weights=lambda w: files.indexes.weights(w.index),
    output:
        chunks="results/{dataset}/index/{index}/chunks.jsonl",
        cost="results/{dataset}/costs/chunk_kb/{index}.json",
    log:
        "results/logs/{dataset}/chunk_kb/{index}.log",
    wildcard_constraints:
        index=files.indexes.in_shards(False),
    priority: 1  # it checks the articles
    resources:
        **needs("chunk_kb"),
    params:
        # The ids contain paths in kb/, but the cache sees only the last part of an input's path.
        sources=lambda w: files.datasets.sources(w.dataset),
        settings=settings(
            Chunking, model=lambda w: config["indexes"][w.index]["embedding"]
        ),
        code=digest("index/chunk_kb.py", "rag"),
    script:
        "../scripts/index/chunk_kb.py"


rule embed_chunks:
    input:
        chunks="results/{dataset}/index/{index}/chunks.jsonl",
        weights=lambda w: files.indexes.weights(w.index),
    output:
        embeddings="results/{dataset}/index/{index}/embeddings.npy",
        settings="results/{dataset}/index/{index}/embeddings.json",
        cost="results/{dataset}/costs/embed_chunks/{index}.json",
    log:
        "results/logs/{dataset}/embed_chunks/{index}.log",
    wildcard_constraints:
        index=files.indexes.in_shards(False),
    priority: 1  # see rule run_agent
    resources:
        **needs("embed_chunks"),
    params:
        model=lambda w: config["indexes"][w.index]["embedding"],
        code=digest("index/embed_chunks.py", "rag"),
    script:
        "../scripts/index/embed_chunks.py"


rule convert_encoder:
    input:
        weights=lambda w: files.indexes.weights(w.index),
    output:
        encoder="results/{dataset}/index/{index}/encoder.gguf",
        cost="results/{dataset}/costs/convert_encoder/{index}.json",
    log:
        "results/logs/{dataset}/convert_encoder/{index}.log",
    priority: 1  # see rule run_agent
    resources:
        **needs("convert_encoder"),
    params:
        model=lambda w: config["indexes"][w.index]["embedding"],
        code=digest("index/convert_encoder.py", "rag", "gguf"),
    script:
        "../scripts/index/convert_encoder.py"


rule build_chroma:
    input:
        chunks="results/{dataset}/index/{index}/chunks.jsonl",
        embeddings="results/{dataset}/index/{index}/embeddings.npy",
    output:
        store="results/{dataset}/index/{index}/chroma.zip",
        cost="results/{dataset}/costs/build_chroma/{index}.json",
    log:
        "results/logs/{dataset}/build_chroma/{index}.log",
    priority: 1  # see rule run_agent
    resources:
        **needs("build_chroma"),
    params:
        code=digest("index/build_chroma.py", "rag"),
    script:
        "../scripts/index/build_chroma.py"


# An index with `shards`: each part is made by jobs of its own. `join_shards` writes the files of
# the whole index, for the steps that read all chunks and vectors block by block.


rule chunk_shard:
    input:
        articles=lambda w: list(files.indexes.shards(w.index)[w.shard].values()),
        weights=lambda w: files.indexes.weights(w.index),
    output:
        chunks="results/{dataset}/index/{index}/shards/{shard}/chunks.jsonl",
        cost="results/{dataset}/costs/chunk_shard/{index}.{shard}.json",
    log:
        "results/logs/{dataset}/chunk_shard/{index}.{shard}.log",
    wildcard_constraints:
        index=files.indexes.in_shards(),
        shard=SHARD,
    priority: 1  # it checks the articles
    resources:
        **needs("chunk_shard"),
    params:
        sources=lambda w: list(files.indexes.shards(w.index)[w.shard]),
        settings=settings(
            Chunking, model=lambda w: config["indexes"][w.index]["embedding"]
        ),
        code=digest("index/chunk_shard.py", "rag"),
    script:
        "../scripts/index/chunk_shard.py"


use rule embed_chunks as embed_shard with:
    input:
        chunks="results/{dataset}/index/{index}/shards/{shard}/chunks.jsonl",
        weights=lambda w: files.indexes.weights(w.index),
    output:
        embeddings="results/{dataset}/index/{index}/shards/{shard}/embeddings.npy",
        settings="results/{dataset}/index/{index}/shards/{shard}/embeddings.json",
        cost="results/{dataset}/costs/embed_shard/{index}.{shard}.json",
    log:
        "results/logs/{dataset}/embed_shard/{index}.{shard}.log",
    wildcard_constraints:
        index=files.indexes.in_shards(),
        shard=SHARD,
    resources:
        **needs("embed_shard"),


use rule build_chroma as build_shard with:
    input:
        chunks="results/{dataset}/index/{index}/shards/{shard}/chunks.jsonl",
        embeddings="results/{dataset}/index/{index}/shards/{shard}/embeddings.npy",
    output:
        store="results/{dataset}/index/{index}/shards/{shard}/chroma.zip",
        cost="results/{dataset}/costs/build_shard/{index}.{shard}.json",
    log:
        "results/logs/{dataset}/build_shard/{index}.{shard}.log",
    wildcard_constraints:
        index=files.indexes.in_shards(),
        shard=SHARD,
    resources:
        **needs("build_shard"),


rule join_shards:
    input:
        parts=lambda w: files.indexes.each_shard(w.index, "chunks.jsonl"),
        vectors=lambda w: files.indexes.each_shard(w.index, "embeddings.npy"),
        made=lambda w: files.indexes.each_shard(w.index, "embeddings.json"),
    output:
        chunks="results/{dataset}/index/{index}/chunks.jsonl",
        embeddings="results/{dataset}/index/{index}/embeddings.npy",
        settings="results/{dataset}/index/{index}/embeddings.json",
        cost="results/{dataset}/costs/join_shards/{index}.json",
    log:
        "results/logs/{dataset}/join_shards/{index}.log",
    wildcard_constraints:
        index=files.indexes.in_shards(),
    priority: 1  # see rule run_agent
    resources:
        **needs("join_shards"),
    params:
        code=digest("index/join_shards.py", "rag"),
    script:
        "../scripts/index/join_shards.py"


rule learn_queries:
    input:
        conversations="results/{dataset}/prepared/sft.train.jsonl",
        chunks="results/{dataset}/index/{index}/chunks.jsonl",
        embeddings="results/{dataset}/index/{index}/embeddings.npy",
        settings="results/{dataset}/index/{index}/embeddings.json",
        encoder=lambda w: files.indexes.encoder(w.index),
    output:
        shift="results/{dataset}/index/{index}/shift.npy",
        cost="results/{dataset}/costs/learn_queries/{index}.json",
    log:
        "results/logs/{dataset}/learn_queries/{index}.log",
    priority: 1  # see rule run_agent
    resources:
        **needs("learn_queries"),
    params:
        learn_from=lambda w: config["indexes"][w.index]["learn_from"],
        code=digest("index/learn_queries.py", "rag"),
    script:
        "../scripts/index/learn_queries.py"


rule build_bm25:
    input:
        chunks="results/{dataset}/index/{index}/chunks.jsonl",
        embeddings="results/{dataset}/index/{index}/embeddings.npy",
        settings="results/{dataset}/index/{index}/embeddings.json",
        encoder=lambda w: files.indexes.encoder(w.index),
        shift=lambda w: files.indexes.shift(w.index),
        conversations=lambda w: files.indexes.conversations(w.index),
    output:
        words="results/{dataset}/index/{index}/bm25.zip",
        cost="results/{dataset}/costs/build_bm25/{index}.json",
    log:
        "results/logs/{dataset}/build_bm25/{index}.log",
    priority: 1  # see rule run_agent
    resources:
        **needs("build_bm25"),
    params:
        learn_from=lambda w: config["indexes"][w.index]["learn_from"],
        code=digest("index/build_bm25.py", "rag"),
    script:
        "../scripts/index/build_bm25.py"


rule index_words:
    input:
        chunks="results/{dataset}/index/{index}/shards/{shard}/chunks.jsonl",
    output:
        words="results/{dataset}/index/{index}/shards/{shard}/bm25.zip",
        cost="results/{dataset}/costs/index_words/{index}.{shard}.json",
    log:
        "results/logs/{dataset}/index_words/{index}.{shard}.log",
    wildcard_constraints:
        index=files.indexes.in_shards(),
        shard=SHARD,
    priority: 1  # see rule run_agent
    resources:
        **needs("index_words"),
    params:
        code=digest("index/index_words.py", "rag"),
    script:
        "../scripts/index/index_words.py"


rule weigh_words:
    input:
        parts=lambda w: files.indexes.each_shard(w.index, "bm25.zip"),
        chunks="results/{dataset}/index/{index}/chunks.jsonl",
        embeddings="results/{dataset}/index/{index}/embeddings.npy",
        settings="results/{dataset}/index/{index}/embeddings.json",
        encoder=lambda w: files.indexes.encoder(w.index),
        shift=lambda w: files.indexes.shift(w.index),
        conversations=lambda w: files.indexes.conversations(w.index),
    output:
        share="results/{dataset}/index/{index}/bm25.json",
        cost="results/{dataset}/costs/weigh_words/{index}.json",
    log:
        "results/logs/{dataset}/weigh_words/{index}.log",
    wildcard_constraints:
        index=files.indexes.in_shards(),
    priority: 1  # see rule run_agent
    resources:
        **needs("weigh_words"),
    params:
        learn_from=lambda w: config["indexes"][w.index]["learn_from"],
        code=digest("index/weigh_words.py", "rag"),
    script:
        "../scripts/index/weigh_words.py"


rule measure_retrieval:
    input:
        queries=files.datasets.prepared(config["dataset"], "tasks.jsonl"),
        chunks="results/{dataset}/index/{index}/chunks.jsonl",
        embeddings="results/{dataset}/index/{index}/embeddings.npy",
        settings="results/{dataset}/index/{index}/embeddings.json",
        store=lambda w: files.indexes.stores(w.index),
        encoder=lambda w: files.indexes.encoder(w.index),
        shift=lambda w: files.indexes.shift(w.index),
        words=lambda w: files.indexes.words(w.index),
        reranker=lambda w: files.indexes.reranker(w.index),
    output:
        retrieval="results/{dataset}/index/{index}/retrieval.json",
        gate="results/{dataset}/index/{index}/gate.json",
        cost="results/{dataset}/costs/measure_retrieval/{index}.json",
    log:
        "results/logs/{dataset}/measure_retrieval/{index}.log",
    resources:
        **needs("measure_retrieval"),
    params:
        search=lambda w: files.indexes.how(w.index),
        code=digest("index/measure_retrieval.py", "rag"),
    script:
        "../scripts/index/measure_retrieval.py"
