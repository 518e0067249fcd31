"""A Slurm cluster of one node, this machine, with all its files in one folder."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
# Where the programs look. Snakemake's plugin removes SLURM_CONF from the environment of a job.
CONFIG = Path("/etc/slurm/slurm.conf")
CPUS = 4  # task slots, whatever number of cores there is
SECONDS = 30  # until the node must be ready
TEXT = """\
ClusterName=tests
SlurmctldHost={name}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# Containers often have no cgroups to write to. Memory is limited by accounting, once a second.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
MinJobAge=600
NodeName={name} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=long Nodes=ALL MaxTime=INFINITE State=UP
"""


class Unavailable(Exception):
    """Slurm cannot run here; the text says why."""


class Cluster:
    """A running cluster.

    Args:
        folder: for its files.
    """

    def __init__(self, folder):
        self.folder, self.name = folder, socket.gethostname().partition(".")[0]

    def jobs(self):
        """The jobs that have ended, in this order: dicts of the text file's fields."""
        path = self.folder / "jobs.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [
            dict(field.split("=", 1) for field in line.split() if "=" in field) for line in lines
        ]

    def queue(self, *states):
        """{id: comment} of the jobs in some states. The comment names rule and wildcards."""
        lines = call("squeue", "--noheader", "--states", ",".join(states), "--format", "%i %k")
        return dict(line.split(maxsplit=1) for line in lines.splitlines())

    def state(self):
        """The node's state, in Slurm's words, such as IDLE or MIXED+DRAIN."""
        told = call("scontrol", "show", "node", self.name)
        return told.partition("State=")[2].split()[0]

    def drain(self):
        call("scontrol", "update", f"nodename={self.name}", "state=drain", "reason=test")

    def resume(self):
        call("scontrol", "update", f"nodename={self.name}", "state=resume")


def call(*command):
    """Run a command, and return what it said.

    Raises:
        Unavailable: it failed.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Unavailable(f"{' '.join(map(str, command))}: {done.stdout.strip()[-500:]}")
    return done.stdout


@contextlib.contextmanager
def running(folder):
    """Start a `Cluster`, and stop it at the end.

    Raises:
        Unavailable: Slurm is not installed, or cannot start.
    """
    if os.getuid():
        raise Unavailable("this needs root")
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        raise Unavailable(
            f"{', '.join(missing)} are not installed; `make test-slurm` installs them"
        )
    if os.path.lexists(CONFIG):
        raise Unavailable(f"{CONFIG} exists, so this machine belongs to a cluster")
    cluster = Cluster(folder)
    _write(cluster)
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.symlink_to(folder / "slurm.conf")
    try:
        _start(cluster)
        yield cluster
    finally:
        _stop(cluster)
        CONFIG.unlink()


def _write(cluster):
    folder = cluster.folder
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    text = TEXT.format(
        name=cluster.name, ports=_free_ports(2), folder=folder, cpus=CPUS, memory=memory
    )
    (folder / "slurm.conf").write_text(text)


def _free_ports(count):
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _start(cluster):
    paths = {
        f"--{option}-{kind}" if kind else f"--{option}": f"{cluster.folder}/{name}"
        for option, kind, name in (
            ("key", "file", "munge.key"), ("socket", "", "munge.socket"),
            ("pid", "file", "munged.pid"), ("log", "file", "munged.log"),
            ("seed", "file", "munged.seed"),
        )
    }  # fmt: skip
    call("munged", "--force", *(f"{name}={path}" for name, path in paths.items()))
    call("slurmctld")
    call("slurmd")
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(Unavailable):
            if cluster.state() == "IDLE":
                return
        time.sleep(0.5)
    log = cluster.folder / "slurmd.log"
    raise Unavailable(f"the node did not start: {log.read_text()[-500:] if log.exists() else ''}")


def _stop(cluster):
    """Stop what was started, by the process ids that the programs wrote."""
    for program in ("slurmd", "slurmctld", "munged"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            number = int((cluster.folder / f"{program}.pid").read_text())
            os.kill(number, 15)
            for _ in range(100):
                os.kill(number, 0)
                time.sleep(0.1)
