# The paper: the measures of its experiments' cells, and the verdict on each claim.
#
# The cells are ordinary adapters and systems; the rules above train and run them. The files of each
# version of the paper are in a folder of its name, so the page can show two of them side by side.


rule check_claims:
    input:
        claims="resources/claims.yaml",
        schema="workflow/schemas/claims.schema.yaml",
    output:
        checked=files.paper.file("claims.json"),
    log:
        "results/logs/paper/check_claims.log",
    priority: 1
    resources:
        **needs("check_claims"),
    params:
        settings=settings(
            experiments=list(experiments),
            design=lambda w: files.paper.design(experiments),
        ),
        code=digest("paper/check_claims.py"),
    script:
        "../scripts/paper/check_claims.py"


rule evaluate_adapter:
    input:
        unpack(lambda w: files.models.whole(w.adapter)),
        unpack(lambda w: files.paper.corpus(w.adapter)),
        conversations="results/{dataset}/prepared/sft.train.jsonl",
        held_out="results/{dataset}/prepared/sft.validation.jsonl",
        system_prompt="results/{dataset}/prepared/system_prompt.txt",
        training="results/{dataset}/adapter/{adapter}/training.json",
    output:
        evaluation="results/{dataset}/adapter/{adapter}/evaluation.json",
    log:
        "results/logs/{dataset}/evaluate_adapter/{adapter}.log",
    resources:
        **needs("evaluate_adapter"),
    params:
        settings=settings(
            examples=lambda w: config["adapters"][w.adapter].get("examples"),
            sequence=lambda w: files.models.base_of(w.adapter)[1]["sequence"],
            precision=lambda w: files.models.precision(w.adapter),
            seed=lambda w: config["adapters"][w.adapter]["seed"],
        ),
        code=digest("paper/evaluate_adapter.py", "train"),
    script:
        "../scripts/paper/evaluate_adapter.py"


rule compare_searches:
    input:
        tasks="results/{dataset}/prepared/tasks.jsonl",
        chunks="results/{dataset}/index/{index}/chunks.jsonl",
        embeddings="results/{dataset}/index/{index}/embeddings.npy",
        settings="results/{dataset}/index/{index}/embeddings.json",
        encoder=lambda w: files.indexes.encoder(w.index),
        shift=lambda w: files.indexes.shift(w.index),
    output:
        searches="results/{dataset}/index/{index}/searches.json",
    log:
        "results/logs/{dataset}/compare_searches/{index}.log",
    resources:
        **needs("compare_searches"),
    params:
        seed=config["seeds"]["agent"],
        code=digest("paper/compare_searches.py", "rag", "paper"),
    script:
        "../scripts/paper/compare_searches.py"


rule measure_scale:
    output:
        measures="results/paper/scale/{shape}.json",
        machine="results/paper/scale/{shape}.machine.json",
    log:
        "results/logs/paper/measure_scale/{shape}.log",
    threads: all_cores
    resources:
        **needs("measure_scale"),
        measures_speed=1,
    params:
        settings=settings(
            shape=lambda w: config["shapes"][w.shape],
            # An importance matrix changes neither size nor speed.
            quantizations=lambda w: list(
                dict.fromkeys(
                    map(llama_type, config["papers"][config["paper"]]["quantizations"])
                )
            ),
            rounds=5,
        ),
        code=digest("paper/measure_scale.py", "gguf"),
    script:
        "../scripts/paper/measure_scale.py"


rule collect_scale:
    input:
        measures=lambda w: [
            files.paper.scale(shape)
            for shape in config["papers"][config["paper"]]["large"]
        ],
        machines=lambda w: [
            files.paper.scale(shape, "machine.json")
            for shape in config["papers"][config["paper"]]["large"]
        ],
    output:
        scale="results/paper/scale-7b.json",
        table="results/paper/scale-7b.md",
    log:
        "results/logs/paper/collect_scale.log",
    resources:
        **needs("collect_scale"),
    params:
        shapes=lambda w: config["papers"][config["paper"]]["large"],
        code=digest("paper/collect_scale.py"),
    script:
        "../scripts/paper/collect_scale.py"


rule measure_pretraining:
    input:
        tokens="results/{dataset}/base/{base}/tokens/train.npy",
        held_out_tokens="results/{dataset}/base/{base}/tokens/validation.npy",
        stats="results/{dataset}/base/{base}/tokens/stats.json",
        tokenizer="results/{dataset}/base/{base}/tokenizer/tokenizer.json",
    output:
        curve="results/{dataset}/base/{base}/curve.jsonl",
        times="results/{dataset}/base/{base}/times.jsonl",
    log:
        "results/logs/{dataset}/measure_pretraining/{base}.log",
    threads: all_cores
    resources:
        **needs("measure_pretraining"),
        measures_speed=1,
    params:
        settings=settings(Pretraining, points=8, sample_tokens=100),
        code=digest("paper/measure_pretraining.py", "train"),
    script:
        "../scripts/paper/measure_pretraining.py"


rule collect_curves:
    input:
        sources=files.paper.sources(files.paper.curves(experiments)),
    output:
        curves=files.paper.file("curves.csv"),
    log:
        "results/logs/paper/collect_curves.log",
    resources:
        **needs("collect_curves"),
    params:
        cells=files.paper.curves(experiments),
        code=digest("paper/collect_curves.py", "report"),
    script:
        "../scripts/paper/collect_curves.py"


rule collect_paper:
    input:
        sources=files.paper.sources(files.paper.cells(experiments)),
    output:
        measurements=files.paper.file("measurements.csv"),
        outcomes=files.paper.file("outcomes.csv"),
        summary=report(
            files.paper.file("summary.csv"),
            category="Paper",
            caption="../report/paper_summary.rst",
        ),
    log:
        "results/logs/paper/collect_paper.log",
    resources:
        **needs("collect_paper"),
    params:
        cells=files.paper.cells(experiments),
        code=digest("paper/collect_paper.py", "report"),
    script:
        "../scripts/paper/collect_paper.py"


rule judge_claims:
    input:
        claims=files.paper.file("claims.json"),
        measurements=files.paper.file("measurements.csv"),
        outcomes=files.paper.file("outcomes.csv"),
    output:
        verdicts=files.paper.file("verdicts.json"),
        table=report(
            files.paper.file("claims.csv"),
            category="Paper",
            caption="../report/paper_claims.rst",
        ),
    log:
        "results/logs/paper/judge_claims.log",
    resources:
        **needs("judge_claims"),
    params:
        code=digest("paper/judge_claims.py", "report"),
    script:
        "../scripts/paper/judge_claims.py"


rule plot_experiment:
    input:
        claims=files.paper.file("claims.json"),
        measurements=files.paper.file("measurements.csv"),
        summary=files.paper.file("summary.csv"),
    output:
        plot=report(
            files.paper.file("plots/{experiment}.svg"),
            category="Paper",
            subcategory="Plots",
            caption="../report/paper_plot.rst",
        ),
    log:
        "results/logs/paper/plot_experiment/{experiment}.log",
    resources:
        **needs("plot_experiment"),
    params:
        experiment="{experiment}",
        code=digest("paper/plot_experiment.py", "report"),
    script:
        "../scripts/paper/plot_experiment.py"


rule plot_curves:
    input:
        curves=files.paper.file("curves.csv"),
    output:
        plot=report(
            files.paper.file("plots/{experiment}.svg"),
            category="Paper",
            subcategory="Plots",
            caption="../report/paper_curves.rst",
        ),
    log:
        "results/logs/paper/plot_curves/{experiment}.log",
    wildcard_constraints:
        experiment="pretraining|benchmark",
    resources:
        **needs("plot_curves"),
    params:
        settings=settings(
            experiment=lambda w: w.experiment,
            published=lambda w: files.paper.published(w.experiment),
        ),
        code=digest("paper/plot_curves.py", "report"),
    script:
        "../scripts/paper/plot_curves.py"


ruleorder: plot_curves > plot_experiment


rule render_paper:
    input:
        verdicts=files.paper.file("verdicts.json"),
        others=lambda w: files.paper.others(),
        summary=files.paper.file("summary.csv"),
        samples=files.paper.samples(experiments),
        pretraining=lambda w: files.paper.pretraining(experiments),
        plots=expand(files.paper.file("plots/{experiment}.svg"), experiment=experiments),
        template="workflow/report/paper.html.jinja",
        parts_of_pages=["workflow/report/page.css", "workflow/report/charts.html.jinja"],
    output:
        page=report(
            "results/paper/report.html",
            category="Paper",
            caption="../report/paper.rst",
        ),
    log:
        "results/logs/paper/render_paper.log",
    resources:
        **needs("render_paper"),
    params:
        settings=settings(
            paper=config["paper"],
            about=config["papers"][config["paper"]]["about"],
            dataset=config["dataset"],
            columns=files.paper.columns(),
            seeds=len(config["papers"][config["paper"]]["seeds"]),
            shared={
                "all": config["papers"][config["paper"]]["changes"],
                "sweeps": config["papers"][config["paper"]]["reference"],
                "quantization, stack": config["papers"][config["paper"]]["whole"],
            },
        ),
        code=digest("paper/render_paper.py", "report"),
    script:
        "../scripts/paper/render_paper.py"
