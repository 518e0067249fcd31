"""Shows what a run would do, why, and what it costs; runs nothing.

    python workflow/scripts/show_plan.py results/agent_eval.json --config dataset=my-shop

accepts the options of `snakemake`. It is a dry run of Snakemake whose executor explains the jobs.
"""

import logging
import sys

from snakemake.cli import main

from specialist.config.paths import Paths
from specialist.core.errors import UserError
from specialist.engine import internals, records
from specialist.engine.cache import Cache
from specialist.engine.contract import flat
from specialist.engine.plan import COMPUTED, PERHAPS, Job, Planner, table
from specialist.preflight import check as preflight
from specialist.preflight.machine import look
from specialist.preflight.work import Expected, ratio


class Explainer:
    """Explains jobs instead of running them: `jobs` in the order in which they would run.

    `absent` has the parts that the run's dataset lacks, and what each would add.
    """

    def __init__(self):
        self.jobs, self.planner, self.preflight, self.absent = [], None, None, {}

    def __call__(self, workflow, job):
        if not job.output:
            return
        if not self.planner:
            self._begin(workflow)
        told = Job(
            job.rule.name,
            job.input,
            job.output,
            flat(job.params),
            dict(job.wildcards.items()),
            internals.reason(workflow, job),
            resources=dict(job.resources.items()),
            threads=job.threads,
        )
        self.jobs.append(self.planner.explain(told))

    def _begin(self, workflow):
        made = {}
        for job in internals.jobs(workflow):
            if job.output and (record := records.beside(job.output[0])):
                made |= dict.fromkeys(map(str, job.output), record)
        self.preflight = preflight.Preflight(workflow.config, look())
        self.absent = Paths(workflow.config).datasets.absent(workflow.config["dataset"])
        self.planner = Planner(
            made,
            Cache(**workflow.config["cache"]),
            internals.forced_selection(workflow),
            workflow.config["dataset"],
            ratio,
            Expected(self.preflight),
        )


def show(explainer):
    """Print the plan and what it needs; returns the exit status."""
    jobs = explainer.jobs
    if not jobs:
        print("Nothing would run: everything is up to date.")
        return 0
    print(table(jobs))
    working = [(job.rule, job.wildcards) for job in jobs if job.fate in (COMPUTED, PERHAPS)]
    try:
        stages = explainer.preflight.stages(working)
    except UserError as error:
        print(f"\n{error}")
        return 1
    if stages:
        print(f"\n{preflight.table(stages, explainer.preflight.machine)}")
    if explainer.absent:
        print("\nThe dataset has no", *explainer.absent.values(), sep="\n  ")
    return 0


if __name__ == "__main__":
    explain = Explainer()
    internals.explain_with(explain)
    internals.speak_plainly()
    logging.disable(logging.INFO)  # show only warnings and errors of Snakemake
    given = [word for word in sys.argv[1:] if word not in ("-n", "--dry-run", "--dryrun")]
    try:
        main(["--cores", "all", *given, "--executor", "explain"])
    except SystemExit as end:
        if end.code:
            raise
    sys.exit(show(explain))
