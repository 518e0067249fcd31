"""Shows what a run would do, why, and what it costs; runs nothing.

    python workflow/scripts/show_plan.py results/agent_eval.json --config dataset=my-shop

takes what `snakemake` takes. It is a dry run of Snakemake with an executor that explains.
"""

import logging
import sys

from snakemake.cli import main
from snakemake.executors import dryrun
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from specialist.core.errors import UserError
from specialist.engine import records
from specialist.engine.cache import Cache
from specialist.engine.contract import flat
from specialist.engine.forced import selection
from specialist.engine.plan import COMPUTED, PERHAPS, Job, Planner, table
from specialist.preflight import check as preflight
from specialist.preflight.machine import look

common_settings = dryrun.common_settings  # a part of every executor plugin
jobs = []  # explained, in the order in which they would run
configs = []  # that of the run


class Executor(dryrun.Executor):
    """Explains jobs in place of running them."""

    def __init__(self, workflow, logger):
        super().__init__(workflow, logger)
        configs.append(workflow.config)
        self.planner = Planner(
            records.by_output("results"),
            Cache(**workflow.config["cache"]),
            selection(workflow.dag_settings),
            workflow.config["dataset"],
        )

    def printjob(self, job):
        if job.output:
            said = str(self.dag.reason(job))
            params, wildcards = flat(job.params), dict(job.wildcards.items())
            told = Job(job.rule.name, job.input, job.output, params, wildcards, said)
            jobs.append(self.planner.explain(told))


if __name__ == "__main__":
    ExecutorPluginRegistry().register_plugin("plan", sys.modules[__name__])
    logging.disable(logging.INFO)  # of Snakemake's words, only warnings and errors
    given = [word for word in sys.argv[1:] if word not in ("-n", "--dry-run", "--dryrun")]
    try:
        main(["--cores", "all", *given, "--executor", "plan"])
    except SystemExit as end:
        if end.code:
            raise
    if not jobs:
        print("Nothing would run: all is there, made from what is there.")
        sys.exit()
    print(table(jobs))
    here = look()
    working = [(job.rule, job.wildcards) for job in jobs if job.fate in (COMPUTED, PERHAPS)]
    try:
        stages = preflight.Preflight(configs[0], here).stages(working)
    except UserError as error:
        sys.exit(f"\n{error}")
    if stages:
        print(f"\n{preflight.table(stages, here)}")
