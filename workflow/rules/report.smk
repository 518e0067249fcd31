# The page of a run.


rule render_report:
    input:
        agent_eval="results/agent_eval.json",
        tasks=f"results/{evaluated['dataset']}/prepared/tasks.jsonl",
        traces=[main.episodes(name, "traces") for name in evaluated["systems"]],
        times=[main.episodes(name, "times") for name in evaluated["systems"]],
        scores=[main.scores(name) for name in evaluated["systems"]],
        pretraining=main.pretrained("pretraining.json"),
        pretraining_losses=main.pretrained("loss.csv"),
        adapter_losses=main.adapted("loss.csv"),
        template="workflow/report/run.html.jinja",
        script="workflow/report/run.js",
    output:
        page=report(
            "results/report.html", category="Result", caption="../report/page.rst"
        ),
    log:
        "results/logs/render_report.log",
    params:
        code=digest("report/render_report.py", "report"),
    script:
        "../scripts/report/render_report.py"
