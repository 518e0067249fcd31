"""What a run would do: each job with the reason, its cost, and whether the cache has it.

Snakemake knows which jobs run (see show_plan.py). The records of the jobs show why: they hold the
parameters, code, software and contents of the inputs of the last run.
"""

import itertools
import os
import textwrap
from dataclasses import dataclass, field

from specialist.engine import changes, records, sizes
from specialist.engine.digest import parts
from specialist.engine.forced import is_forced
from specialist.engine.keys import cache_key, paths
from specialist.engine.sources import altered

FATES = COMPUTED, PERHAPS, RESTORED = "computed", "perhaps restored", "restored"
IN_SHORT = FORCED, NEW, GONE = "forced", "never ran here", "its output is missing"
WIDTH, MOST = 100, 6  # of a line; causes shown of a job


@dataclass
class Job:
    """A job that would run.

    Args:
        rule: its name.
        input, output: as Snakemake hands them to a script.
        params, wildcards, resources: dicts.
        reason: why it runs, in Snakemake's words.
    """

    rule: str
    input: object
    output: object
    params: dict
    wildcards: dict
    reason: str
    resources: dict = field(default_factory=dict)
    threads: int = 1
    name: str = ""
    causes: list = field(default_factory=list)  # texts; empty if the job only follows from others
    after: list = field(default_factory=list)  # jobs of this run that make its inputs
    upstream: set = field(default_factory=set)  # all rules of this run that it follows from
    fate: str = COMPUTED
    seconds: float | None = None  # None: nothing is known
    memory_mb: int | None = None
    guessed: bool = False  # the cost is the scaled cost of another job of this step


class Planner:
    """Explains jobs one after the other, in the order in which they would run.

    Args:
        made: {path of an output: record} of the jobs of the run, as far as there are records.
        cache: a `specialist.engine.cache.Cache`.
        selected: what is forced, as `specialist.engine.forced.selection` returns it.
        dataset: the run's dataset, which names of jobs do not mention.
        ratio: see `specialist.preflight.work.ratio`; None takes all jobs of a step as equal.
        expected: a `specialist.preflight.work.Expected`, or None.
    """

    def __init__(self, made, cache, selected=(), dataset=None, ratio=None, expected=None):
        self.made, self.cache, self.selected, self.dataset = made, cache, selected, dataset
        self.ratio, self.expected = ratio or (lambda *_: 1.0), expected
        self.makers = {}  # output -> Job
        self.contents = {}  # path -> SHA-256 of what will be there; None: not known yet
        # What each script cost the last time, for jobs that never ran here.
        self.elsewhere = {_script(record["params"]): record for record in made.values()}

    def explain(self, job):
        """Fill in a job's name, causes, cost and fate; returns it."""
        job.name = records.name(job.rule, job.wildcards, self.dataset)
        record = self.made.get(job.output[0])
        inputs = {str(path): self._content(path) for path in job.input}
        job.after = [self.makers[path] for path in job.input if path in self.makers]
        job.upstream = {maker.rule for maker in job.after}.union(*(m.upstream for m in job.after))
        job.causes = self._causes(job, record, inputs)
        job.fate = self._fate(job, inputs)
        self._estimate(job, record)
        return job

    def _estimate(self, job, record):
        """Fill in what a job costs, from its own record or from one of the same step."""
        known = record or self._elsewhere(_script(job.params))
        if not known:
            return
        there = known.get("sizes") or {}, known["params"]
        times = self.ratio(job.rule, (self._sizes(job), job.params), there)
        if times is None and record:  # one of before sizes were kept
            times = 1.0
        job.guessed = not record or times != 1.0
        if times is not None:
            job.seconds = records.seconds(known) + (times - 1) * known["compute_s"]
        job.memory_mb = known["peak_memory_mb"]
        if job.guessed and self.expected:
            needed = self.expected.memory_mb(job.rule, job.wildcards)
            job.memory_mb = needed or (job.memory_mb if times is not None else None)

    def _elsewhere(self, script):
        if script not in self.elsewhere:
            self.elsewhere[script] = next(iter(self.cache.costs(script)), None)
        return self.elsewhere[script]

    def _sizes(self, job):
        """{argument: sizes} of a job's inputs, as they will be; see `sizes.measure`."""
        return {
            name: sizes.total([self._size(path) for path in paths([value])])
            for name, value in job.input.items()
        }

    def _size(self, path):
        maker = self.makers.get(path) if self.expected else None
        if maker and (will_be := self.expected.size(maker.rule, maker.wildcards, path)):
            return will_be
        return sizes.of_file(path) if os.path.isfile(path) else {}

    def _content(self, path):
        if path not in self.contents:
            self.contents[path] = records.content(path, self.made.get(path))
        return self.contents[path]

    def _causes(self, job, record, inputs):
        missing = [path for path in job.output if not os.path.exists(path)]
        gone = len(missing) == len(job.output)
        if is_forced(self.selected, job.rule, job.output):
            return [FORCED]
        if record is None or "code" not in record:
            return [NEW if gone else _in_short(job.reason)]
        given = {path: None if path in self.makers else inputs[path] for path in inputs}
        found = [
            *changes.params(record["params"], job.params),
            *changes.files(record["inputs"], given),
            *changes.code(record["code"], parts(*_asked(job.params))),
            *([GONE] if gone else [f"{path} is missing" for path in missing]),
            *altered(job.output[0], record),
        ]
        return found or ([] if job.after else [_in_short(job.reason)])

    def _fate(self, job, inputs):
        """Where the outputs would come from; notes what will be in them."""
        known = None not in inputs.values()
        if not known:  # assume that the inputs stay the same
            inputs = {path: self._as_it_is(path) for path in inputs}
        forced = is_forced(self.selected, job.rule, job.output)
        kept = None if forced else self.cache.lookup(cache_key(job, inputs))
        hashes = kept["sha256"] if kept and known else itertools.repeat(None)
        self.makers |= dict.fromkeys(job.output, job)
        self.contents |= dict(zip(job.output, hashes, strict=False))
        return COMPUTED if not kept else RESTORED if known else PERHAPS

    def _as_it_is(self, path):
        return self.contents.get(path) or records.content(path, self.made.get(path))


def _asked(params):
    """The arguments of `specialist.engine.digest.parts` that the digest in `code` is of."""
    return params["code"].split()[1:]


def _script(params):
    return next(iter(_asked(params)), None)


def _in_short(reason):
    # Snakemake repeats jobs of a killed run, and calls them forced.
    return "an earlier run of it was interrupted" if reason == "Forced execution" else reason


def table(jobs):
    """The jobs as text: those of one rule that run for the same reason stand in one line."""
    lines, told = [f"{'time':>13}{'memory':>10}  step"], {}
    for group in _groups(jobs):
        rule, causes = group[0].rule, group[0].causes
        names = ", ".join(filter(None, (job.name.removeprefix(rule).strip() for job in group)))
        notes = [cause for cause in causes if cause in IN_SHORT]
        if again := dict.fromkeys(told[cause] for cause in causes if cause in told):
            notes.append(f"as {' and '.join(again)}")
        if not causes:
            notes.append(f"follows {', '.join(_nearest(group))}")
        lines += textwrap.wrap(
            f"{rule} {names}".strip() + (f" ({'; '.join(notes)})" if notes else ""),
            WIDTH,
            initial_indent=f"{_time(group):>13}{_memory(group):>10}  ",
            subsequent_indent=f"{'':29}",
            break_on_hyphens=False,
        )
        fresh = [cause for cause in causes if cause not in told and cause not in IN_SHORT]
        lines += [f"{'':29}{cause}" for cause in fresh[:MOST]]
        lines += [f"{'':29}and {len(fresh) - MOST} more"] if len(fresh) > MOST else []
        told |= dict.fromkeys(fresh, rule)
    return "\n".join([*lines, "", *_total(jobs)])


def _nearest(group):
    """Rules that make the inputs of jobs, without those that others of them follow from."""
    makers = [maker for job in group for maker in job.after]
    further = set().union(*(maker.upstream for maker in makers))
    return dict.fromkeys(maker.rule for maker in makers if maker.rule not in further)


def _groups(jobs):
    """Lists of jobs that share a line, each after those it follows, else in the jobs' order."""
    groups = {}
    for job in jobs:
        groups.setdefault((job.rule, job.fate, *job.causes), []).append(job)
    left, done = list(groups.values()), set()
    while left:
        ready = next(
            group
            for group in left
            if done.issuperset(id(maker) for job in group for maker in job.after)
        )
        done |= {id(job) for job in ready}
        left.remove(ready)
        yield ready


def _time(jobs):
    fate, known = jobs[0].fate, [job.seconds for job in jobs if job.seconds is not None]
    if fate == RESTORED:
        return RESTORED
    if len(known) < len(jobs):
        return "unknown"
    about = "~ " if any(job.guessed for job in jobs) else ""
    return about + records.duration(sum(known)) + (" ?" if fate == PERHAPS else "")


def _memory(jobs):
    known = [job.memory_mb for job in jobs if job.memory_mb is not None]
    return f"{max(known) / 1000:.1f} GB" if known and jobs[0].fate != RESTORED else ""


def _total(jobs):
    fates = {fate: [job for job in jobs if job.fate == fate] for fate in FATES}
    counts = [f"{len(some)} {fate}" for fate, some in fates.items() if some]
    yield f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}: {', '.join(counts)}"
    working = fates[COMPUTED] + fates[PERHAPS]
    if known := [job for job in working if job.seconds is not None]:
        least, most = (
            records.duration(sum(job.seconds for job in known if job.fate in some))
            for some in ((COMPUTED,), FATES)
        )
        span = most if least == most else f"{least} to {most}"
        unknown = len(working) - len(known)
        more = f", and {unknown} whose cost is unknown" if unknown else ""
        memory = max(job.memory_mb for job in known) / 1000
        yield f"{span} if one runs after the other{more}; took at most {memory:.1f} GB"
    if any(job.guessed for job in working):
        yield "~ estimated from another job of the same step, by the sizes of model and data"
    if fates[PERHAPS]:
        yield "? restored from the cache if its inputs stay the same"
