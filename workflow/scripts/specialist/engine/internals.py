"""All undocumented parts of Snakemake that this workflow uses, but for results in a storage.

No other module than mirror.py may use Snakemake's internals. `attribute` looks up each attribute,
and names it if a version of Snakemake does not have it. tests/unit/test_internals.py calls them
all. Tested with Snakemake 9.27.
"""

import itertools
import logging
import os
import re
import sys

from specialist.core.errors import UserError
from specialist.engine import forced
from specialist.engine.job_lines import JobLines, event_of, told_by_log
from specialist.engine.sources import outdated

FAILED = "At least one job did not complete successfully."
CORES = "SPECIALIST_CORES"  # environment variable: what `cores` returns
MAIN = "DEFAULT"  # how Snakemake calls the process of the run, in contrast to those of its jobs


def attribute(start, path):
    """The attribute of an object of Snakemake's that a dotted path leads to.

    Raises:
        UserError: there is none; the message names it, and the version of Snakemake.
    """
    found = start
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            from importlib.metadata import version

            raise UserError(
                f"Snakemake {version('snakemake')} has no {type(start).__name__}.{path} (no "
                f"{name}), which specialist/engine/internals.py uses; install the version of "
                "envs/workflow.txt, or adapt that module"
            ) from None
    return found


def let_scripts_import(folder):
    """Let the scripts of rules import the package in a folder, whatever folder they lie in.

    The process of each job reads the Snakefile too, so this reaches scripts on other nodes and in
    other environments.
    """
    paths = [str(folder), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, paths)))


def read_configfiles_by(read):
    """Make Snakemake read configuration files by a function, instead of YTE, which runs code.

    profiles/*/config.yaml call this, because Snakemake reads the files of --configfile before the
    Snakefile. The Snakefile calls it too, for its own files and in case there was no profile.

    Args:
        read: function from a path or an open file to a dict; it raises UserError.

    Returns:
        Whether it was in place already.
    """
    from snakemake.common import configfile
    from snakemake.exceptions import WorkflowError

    def load(source, filetype="Config"):
        try:
            return read(source)
        except UserError as error:
            raise WorkflowError(str(error)) from None

    speak_plainly()  # a file may be refused before Snakemake reads the Snakefile
    before = attribute(configfile, "_load_configfile")
    configfile._load_configfile = load
    return before.__module__ == __name__


def forced_selection(workflow):
    """Rules and files that the user forces; see forced.py."""
    return forced.selection(attribute(workflow, "dag_settings"))


def cores(workflow):
    """The cores of the run, in the run's process and in those of its jobs.

    Snakemake gives the process of a job on a node that node's cores. A rule that asks for half of
    the run's cores would there get half of this half.
    """
    if attribute(workflow, "exec_mode").name == MAIN:
        os.environ[CORES] = str(attribute(workflow, "cores"))
    return int(os.environ[CORES])


def runs_here(workflow):
    """Whether jobs run on this machine, and not on the nodes of a cluster."""
    return attribute(workflow, "local_exec")


def jobs_to_run(workflow):
    """[(name of the rule, {wildcard: value})] of all jobs that would run."""
    jobs = attribute(workflow, "dag.needrun_jobs")()
    return [(job.rule.name, dict(job.wildcards.items())) for job in jobs]


def jobs(workflow):
    """All jobs of the run, also those that need not run."""
    return attribute(workflow, "dag.jobs")


def lift_job_rate(workflow):
    """Switch off Snakemake's limit of jobs a second.

    It wakes the scheduler once a second for every job that has ended: after a few hundred, that
    takes most of a core.
    """
    attribute(workflow, "scheduler.job_rate_limiter")
    workflow.scheduler.job_rate_limiter = None


def compare_contents(workflow):
    """Make the run repeat jobs whose inputs or outputs have other contents now; see sources.py.

    This happens after Snakemake has found the jobs of the run and before it shows or starts any.
    The Snakefile is read before that, and `onstart` comes too late.
    """
    build = attribute(workflow, "_build_dag")

    def build_and_compare():
        build()
        if attribute(workflow, "exec_mode").name != MAIN:
            return
        dag = attribute(workflow, "dag")
        if paths := outdated(attribute(dag, "jobs")):
            attribute(dag, "forcefiles").update(paths)
            attribute(workflow, "async_run")(attribute(dag, "postprocess")())

    workflow._build_dag = build_and_compare


def check_first(workflow, rules):
    """Have jobs of some rules wait for the jobs with priority, where neither needs the other.

    A priority alone orders nothing on a cluster, where all jobs that are ready start at once. The
    order is added when the jobs of the run are known. So it decides only when a job starts: not
    whether it runs, and not what it reads.

    Args:
        rules: names of rules whose jobs take long.
    """
    build = attribute(workflow, "_build_dag")

    def build_and_order():
        build()
        # Snakemake does not let jobs follow on those of `--until`.
        if attribute(workflow, "exec_mode").name != MAIN or attribute(
            workflow, "dag_settings.until"
        ):
            return
        dag = attribute(workflow, "dag")
        waits, ready = attribute(dag, "_n_until_ready"), attribute(dag, "_ready_jobs")
        depending, needed = attribute(dag, "depending"), attribute(dag, "_dependencies")
        before, after = _checks_and_long_jobs(dag, rules)
        for check, job in itertools.product(before, after):
            if job not in depending[check]:
                # Without files it is no reason to run again.
                depending[check][job] = needed[job][check] = set()
                waits[job] += 1
                ready.discard(job)

    workflow._build_dag = build_and_order


def _checks_and_long_jobs(dag, rules):
    """The last of the jobs with priority that follow from no long job, and the long jobs."""
    depending, running = attribute(dag, "depending"), set(attribute(dag, "needrun_jobs")())
    long = [job for job in attribute(dag, "jobs") if job.rule.name in rules]
    later = set(attribute(dag, "bfs")(depending, *long))
    checks = {job for job in running - later if _priority(job) > 0}
    last = [job for job in checks if checks.isdisjoint(depending[job])]
    return last, [job for job in long if job in running]


def _priority(job):
    """The priority of a job by its rule; Snakemake has not set that of the job yet."""
    return attribute(job, "rule.expand_priority")(job.wildcards_dict, job.input, job.attempt)


def reason(workflow, job):
    """Why a job runs, in Snakemake's words."""
    return str(attribute(workflow, "dag.reason")(job))


def explain_with(function):
    """Have `snakemake --executor explain` call a function instead of running jobs.

    Args:
        function: takes the workflow and a job, in the order in which they would run.
    """
    from snakemake.executors import dryrun
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    class Executor(dryrun.Executor):
        def printjob(self, job):
            function(self.workflow, job)

    class Plugin:
        common_settings = attribute(dryrun, "common_settings")

    Plugin.Executor = Executor
    attribute(ExecutorPluginRegistry(), "register_plugin")("explain", Plugin)


def show_job_lines():
    """Print one line per job, if called before Snakemake sets up its logging, as profiles do.

    A dry run prints what Snakemake prints, and so does a run with --verbose, --printshellcmds or
    --debug-dag.
    """
    from snakemake.logging import LoggerManager

    make = attribute(LoggerManager, "_default_streamhandler")
    if make.__module__ == __name__:
        return

    def handler(self):
        made, chosen = make(self), attribute(self, "settings")
        if not (chosen.dryrun or chosen.verbose or chosen.printshellcmds or chosen.debug_dag):
            lines = JobLines(made.formatter)
            made.setFormatter(lines)
            made.filters.insert(0, lines)  # before --quiet drops the starts of jobs
        return made

    LoggerManager._default_streamhandler = handler


class PlainErrors(logging.Filter):
    """Shows mistakes of the user as messages only, at the end of the output of a run.

    Snakemake shows an exception with the place in the Snakefile and a traceback. At the end, it
    says only that a job failed.
    """

    def __init__(self):
        super().__init__()
        self.failed = {}  # name of a rule and its log: what the log says
        self.signal = None  # which ended the process of the job that is reported next

    def filter(self, record):
        event = event_of(record)
        if event == "JOB_ERROR":
            rule = getattr(record, "rule_name", None)
            for log in getattr(record, "log", None) or ():
                self.failed[rule, log] = told_by_log(rule, log, self.signal)
            self.signal = None
        elif event == "ERROR":
            error = sys.exc_info()[1]
            if killed := re.search(r"died with <Signals\.(\w+)", record.getMessage()):
                self.signal = killed[1]
            if mistake := _mistake(error):
                record.msg, record.args = f"Error: {mistake}", ()
            elif self.failed and FAILED in str(error):
                record.msg, record.args = "\n\n".join(self.failed.values()), ()
        return True


def speak_plainly():
    """Install `PlainErrors` in this process, once."""
    from snakemake import logging as of_snakemake

    logger = attribute(of_snakemake, "logger")
    if not any(isinstance(known, PlainErrors) for known in logger.filters):
        logger.addFilter(PlainErrors())


def _mistake(error):
    """The UserError that an exception is, or was raised from, as text; None if there is none."""
    # Of a UserError in a function of a rule, Snakemake often keeps the text alone.
    if found := re.search(
        r"^  UserError: (.*?)\nWildcards:\n", str(error), re.DOTALL | re.MULTILINE
    ):
        return found[1]
    seen = set()
    while error and id(error) not in seen:
        if isinstance(error, UserError):
            return str(error)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
