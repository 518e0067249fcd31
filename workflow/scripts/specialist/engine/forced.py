"""Steps that the user forces (-R, -f, -F) compute, whatever the cache contains.

In the process of a job, every job looks forced. When a run starts, the Snakefile therefore writes
the forced steps into an environment variable. Snakemake passes it to the jobs, wherever they run.
"""

import json
import os

VARIABLE = "SPECIALIST_FORCED"


def selection(settings):
    """Rules and files that are forced, as a list; "*" stands for all.

    Args:
        settings: the run's `snakemake.settings.types.DAGSettings`.
    """
    if settings.forceall:
        return ["*"]
    targets = settings.targets if settings.forcetargets else ()
    return sorted(map(os.path.normpath, {*settings.forcerun, *targets}))


def is_forced(selected, rule, outputs):
    """Whether a selection holds a job, by its rule or by one of its outputs."""
    return not {"*", rule, *map(os.path.normpath, outputs)}.isdisjoint(selected)


def announce(selected):
    """Tell all jobs of this run."""
    os.environ[VARIABLE] = json.dumps(selected)


def announced():
    """The selection that this job received."""
    return json.loads(os.environ.get(VARIABLE) or "[]")
