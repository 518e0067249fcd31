"""What a run prints: one line per job, what the jobs say, warnings and errors.

Snakemake's log file in .snakemake/log has everything else.
"""

import logging
import re
from pathlib import Path

from specialist.engine.records import duration, name

# Starts of Snakemake's own messages that tell users nothing about their run.
NOISE = (
    "Config file", "Assuming unrestricted shared filesystem", "Building DAG of jobs",
    "Using shell", "Provided ", "Rules claiming more threads", "Select jobs to execute",
    "Execute ", "Job rate limit", "DAG of jobs will be updated", "Updating checkpoint",
    "Removing output files of failed job", "Shutting down", "Exiting because a job",
    "Complete log",
)  # fmt: skip
HIDDEN = {
    "WORKFLOW_STARTED", "RESOURCES_INFO", "JOB_STARTED", "PROGRESS", "GROUP_INFO", "SHELLCMD",
}  # fmt: skip
TARGETS = {"all"}  # rules that make nothing


class JobLines(logging.Formatter):
    """Filter and formatter of the terminal: one line for each job that ended.

    Args:
        inner: the formatter of all that is not about jobs.
    """

    def __init__(self, inner):
        super().__init__()
        self.inner, self.begun = inner, {}  # number of a job: the record of its start
        self.done, self.total, self.failed = 0, 0, False

    def filter(self, record):
        """Whether a record is printed."""
        event, text = event_of(record), record.getMessage()
        if event == "JOB_INFO":
            self.begun[record.jobid] = record
            return False
        if event == "JOB_FINISHED":
            begun = self.begun.get(record.job_id)
            return begun is not None and begun.rule_name not in TARGETS
        # The message of a failed job comes last. This names a temporary file.
        if event == "ERROR" and "CalledProcessError in file" in text:
            return False
        if self.failed and text.startswith("Elapsed time"):
            return False
        return event not in HIDDEN and not (event is None and text.startswith(NOISE))

    def format(self, record):
        event = event_of(record)
        if event == "RUN_INFO":
            targets = sum(count for rule, count in record.stats.items() if rule in TARGETS)
            self.total = record.stats["total"] - targets
            jobs = "1 job" if self.total == 1 else f"{self.total} jobs"
            return f"{jobs} to run" if self.total else ""
        if event == "JOB_FINISHED":
            self.done += 1
            return f"[{self.done}/{self.total}] {self._job(record, record.job_id)}"
        if event == "JOB_ERROR":
            self.failed = True
            return f"[failed] {self._job(record, record.jobid)}"
        return self.inner.format(record)

    def _job(self, record, number):
        """Rule, wildcards and time of a job."""
        begun = self.begun.get(number)
        if begun is None:
            return record.rule_name
        took = duration(record.created - begun.created)
        return f"{name(begun.rule_name, begun.wildcards)}: {took}"


def event_of(record):
    """Name of Snakemake's event that a record is about, or None."""
    return getattr(getattr(record, "event", None), "name", None)


def told_by_log(rule, log, signal=None):
    """The message in the log of a failed job, or the place of its traceback.

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
