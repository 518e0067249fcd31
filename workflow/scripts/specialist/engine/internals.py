"""All that this workflow uses of Snakemake beyond what its documentation promises.

Nothing else may reach into Snakemake. Each attribute is looked up by `attribute`, which names it
when a version of Snakemake has no such attribute; tests/unit/test_internals.py calls them all.
Tried with Snakemake 9.27.
"""

import logging
import os
import re
import sys
from pathlib import Path

from specialist.core.errors import UserError
from specialist.engine import forced
from specialist.engine.job_lines import JobLines
from specialist.engine.sources import outdated

FAILED = "At least one job did not complete successfully."
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
    """Have the run make again what was made of other contents; see sources.py.

    It is done when Snakemake has found the jobs of the run and has not yet told or started any:
    the Snakefile is read before that, and `onstart` comes too late.
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
    """Shows mistakes of the user as their messages alone, and as the last words of a run.

    Snakemake shows an exception with the place in the Snakefile and a traceback. Of a failed job
    it says in the end only that there was one.
    """

    def __init__(self):
        super().__init__()
        self.failed = {}  # name of a rule and its log: what the log says
        self.signal = None  # which ended the process of the job that is reported next

    def filter(self, record):
        event = getattr(getattr(record, "event", None), "name", None)
        if event == "JOB_ERROR":
            rule = getattr(record, "rule_name", None)
            for log in getattr(record, "log", None) or ():
                self.failed[rule, log] = _told(rule, log, self.signal)
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


def _told(rule, log, signal=None):
    """What a failed job says of itself in its log: the message, or where the traceback is.

    Args:
        signal: name of the signal that ended its process, or None.
    """
    text = ""
    path = Path(log.removesuffix(" (check log file(s) for error details)"))
    if path.is_file():
        text = path.read_text(encoding="utf-8", errors="replace")
    if found := re.search(r"^Error in \S+: (?:(?!^Error in ).)*\Z", text, re.DOTALL | re.MULTILINE):
        return f"{found[0].strip()}\n(log: {path})"
    if signal:
        why = "; the system sends it when memory runs out" if signal == "SIGKILL" else ""
        return f"Error in {rule}: {signal} ended its process{why}\n(log: {path})"
    last = text.strip().splitlines()[-1:]
    return "\n".join([f"Error in {rule}; its log is {path}", *last])
