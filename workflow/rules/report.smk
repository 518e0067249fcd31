# The page of a run, and a sweep as a table and a plot.


rule render_report:
    input:
        agent_eval="results/agent_eval.json",
        tasks=main.datasets.prepared(evaluated["dataset"], "tasks.jsonl"),
        traces=main.systems.each("traces.jsonl"),
        times=main.systems.each("times.jsonl"),
        scores=main.systems.each("scores.json"),
        pretraining=main.systems.pretrained("pretraining.json"),
        pretraining_losses=main.systems.pretrained("loss.csv"),
        adapter_losses=main.systems.adapted("loss.csv"),
        adapter_figures=main.systems.adapted("training.json"),
        costs=list(main.costs.of_run().values()),
        template="workflow/report/run.html.jinja",
        parts_of_pages=["workflow/report/page.css", "workflow/report/charts.html.jinja"],
        script="workflow/report/run.js",
    output:
        report=report(
            "results/report.html", category="Result", caption="../report/page.rst"
        ),
    log:
        "results/logs/render_report.log",
    resources:
        **needs("render_report"),
    params:
        steps=list(main.costs.of_run()),
        code=digest("report/render_report.py", "report"),
    script:
        "../scripts/report/render_report.py"


rule collect_sweep:
    input:
        agent_eval="results/agent_eval.json",
        adapter_figures=[
            main.models.last(adapter, "training.json")
            for adapter in main.systems.used("adapter")
        ],
        costs=list(main.costs.of_sweep().values()),
    output:
        sweep="results/sweep.csv",
    log:
        "results/logs/collect_sweep.log",
    resources:
        **needs("collect_sweep"),
    params:
        settings=settings(
            adapters=main.systems.used("adapter"),
            steps=list(main.costs.of_sweep()),
        ),
        code=digest("report/collect_sweep.py", "report"),
    script:
        "../scripts/report/collect_sweep.py"


rule plot_sweep:
    input:
        sweep="results/sweep.csv",
    output:
        plot=report(
            "results/sweep.svg", category="Result", caption="../report/sweep.rst"
        ),
    log:
        "results/logs/plot_sweep.log",
    resources:
        **needs("plot_sweep"),
    params:
        code=digest("report/plot_sweep.py", "report"),
    script:
        "../scripts/report/plot_sweep.py"
