"""The tiny project on a real Slurm cluster of one node, with what goes wrong on clusters.

`make test-slurm` runs it. Without root, or where Slurm cannot start, it is skipped.
"""

import json
import subprocess
import threading
import time

import pytest

import one_node
from project import TINY, Project, jobs

PROFILE = ("--workflow-profile", "profiles/slurm")
# Of the profile, only what depends on the cluster: its size, and how often it may be asked.
HERE = (
    "--jobs", "4", "--slurm-init-seconds-before-status-checks", "2",
    "--set-resources", "train_lora:slurm_partition=long",
)  # fmt: skip
# One adapter, two of its systems less: each job has two more processes to start here. Other
# programs of this machine may slow the jobs down, so they ask for much more time than on a node of
# their own.
FEWER = {
    "resources": {"runtime_factor": 60},
    "adapters": {"lora-r2": None},
    "systems": {"lora-r2-q4": None, "lora-q4-no-retrieval": None},
}
PROMPT = "results/food-delivery/prepared/system_prompt.txt"
LONG = 3600  # seconds in which a run must come to its end, on a busy machine too


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    try:
        with one_node.running(tmp_path_factory.mktemp("slurm")) as running:
            yield running
    except one_node.Unavailable as reason:
        pytest.skip(f"no Slurm: {reason}")


class Trouble(threading.Thread):
    """Makes trouble while a run is at work: kills its pretraining, and drains the node later.

    Attributes:
        killed: Slurm's id of the job that was killed.
        waited: jobs that waited while the node was drained.
        drained: the node's state then.
        over: set to end it.
    """

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.over = cluster, False
        self.killed, self.waited, self.drained = None, [], ""

    def run(self):
        self.killed = self._until(lambda: self._running("rule_pretrain"))
        one_node.call("scancel", self.killed)
        self._until(lambda: self._running("rule_train_lora"))
        self.cluster.drain()
        self.waited = self._until(lambda: self.cluster.queue("PENDING"))
        self._until(lambda: not self.cluster.queue("RUNNING", "COMPLETING"))
        self.drained = self.cluster.state()
        self.cluster.resume()

    def _running(self, comment):
        running = self.cluster.queue("RUNNING").items()
        return next((job for job, told in running if told.startswith(comment)), None)

    def _until(self, found):
        while not (value := found()) and not self.over:
            time.sleep(0.3)
        return value


def logs(project):
    """What Slurm kept of the jobs that failed."""
    folder = project.folder / ".snakemake/slurm_logs"
    return "\n".join(path.read_text()[-2000:] for path in folder.glob("**/*.log"))


@pytest.fixture(scope="module")
def ran(cluster, tmp_path_factory):
    """The tiny project after its run, which met with all trouble; what Snakemake said is `said`."""
    project = Project.new(tmp_path_factory.mktemp("shared") / "project", TINY).overlay(**FEWER)
    trouble = Trouble(cluster)
    trouble.start()
    command = project.command(*PROFILE, *HERE)
    try:
        done = subprocess.run(
            command, cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=LONG,
        )  # fmt: skip
    finally:
        trouble.over = True
        trouble.join()
    assert done.returncode == 0, done.stdout[-8000:] + logs(project)
    project.said, project.trouble = done.stdout, trouble
    return project


@pytest.fixture(scope="module")
def local(cluster, tmp_path_factory):
    """The same project after a run on this machine alone, with a cache of its own."""
    project = Project.new(tmp_path_factory.mktemp("local") / "project", TINY).overlay(**FEWER)
    project.run()
    return project


def test_all_jobs_went_through_slurm(cluster, ran):
    done = [job for job in cluster.jobs() if job["JobState"] == "COMPLETED"]
    assert len(done) == len(jobs(ran.said)) > 25
    assert {job["Partition"] for job in done} == {"main", "long"}
    made = [json.loads(path.read_text()) for path in ran.folder.rglob("*.provenance.json")]
    assert len(made) == len(done)


def test_jobs_asked_for_what_the_run_told(cluster, ran):
    training = [job for job in cluster.jobs() if job["Partition"] == "long"]
    assert training
    for job in cluster.jobs():
        assert "mem=" in job["Tres"] and job["TimeLimit"].isdigit(), job
    assert all("cpu=2" in job["Tres"] for job in training)


def test_run_survives_a_killed_job(cluster, ran):
    states = {job["JobId"]: job["JobState"] for job in cluster.jobs()}
    assert states[ran.trouble.killed] == "CANCELLED"
    assert "Trying to restart job" in ran.said
    assert (ran.folder / "results/food-delivery/base/small/pretraining.json").is_file()


def test_run_survives_a_drained_node(ran):
    assert "DRAIN" in ran.trouble.drained
    assert ran.trouble.waited


def test_result_is_that_of_a_local_run(local, ran):
    here, there = local.comparable(), ran.comparable()
    assert here.keys() == there.keys()
    assert [path for path in here if here[path] != there[path]] == []


def test_provenance_names_the_node(cluster, ran):
    record = json.loads((ran.folder / f"{PROMPT}.provenance.json").read_text())
    assert record["node"].partition(".")[0] == cluster.name


def test_cache_is_shared_with_other_machines(ran):
    """What a job of the cluster computed, a job of this machine takes from the cache."""
    (ran.folder / PROMPT).unlink()
    assert ran.run(PROMPT) == {"render_prompt"}
    assert json.loads((ran.folder / f"{PROMPT}.provenance.json").read_text())["restored"]


def test_nothing_is_left_to_do(ran):
    assert ran.planned() == ran.planned(*PROFILE) == set()


def test_memory_limit_is_enforced(cluster, ran):
    """A job that takes more memory than it asked for is killed, and the run says so."""
    options = ("--retries", "0", "--set-resources", "render_prompt:mem_mb=20")
    command = ran.command(PROMPT, "-f", *PROFILE, *HERE[:4], *options)
    done = subprocess.run(command, cwd=ran.folder, capture_output=True, text=True, timeout=LONG)
    assert done.returncode != 0
    assert cluster.jobs()[-1]["JobState"] in ("FAILED", "OUT_OF_MEMORY", "CANCELLED")
    assert "exceeded memory limit" in logs(ran)
