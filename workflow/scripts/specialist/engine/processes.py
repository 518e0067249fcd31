"""Steps that train in several processes, which `accelerate launch` starts.

The script of the rule stays the same. The engine does not call its function but starts the
processes; each of them calls the function of the script that the rule's `code` names, with the
same arguments. See worker.py.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

from specialist.core.errors import UserError
from specialist.engine import devices

SCRIPTS = Path(__file__).resolve().parents[2]
# accelerate has no option for several processes on a processor. With this one, torchrun starts
# them, and they find out that there is no GPU.
OPTIONS = ("--multi_gpu", "--mixed_precision", "no", "--dynamo_backend", "no")


def call(function, given, snakemake):
    """Call a step, or start its processes where its rule has the resource `processes`.

    Args:
        function: the step.
        given: its arguments.
        snakemake: the object that Snakemake gives to a script.

    Returns:
        memory of the processes in MB, their peaks added up; 0 for a step without processes.

    Raises:
        UserError: see `launch`.
    """
    count = dict(snakemake.resources.items()).get("processes", 1)
    if count == 1:
        function(**given)
        return 0
    _, script, *_ = snakemake.params.code.split()
    return launch(SCRIPTS / script, given, [*snakemake.output.keys()], count)


def launch(script, given, outputs, count):
    """Start processes that call the function of a script, and wait for them.

    What they print appears in this process. The threads are divided among them.

    Args:
        script: path of a script with a function of the same name.
        given: arguments of the function.
        outputs: names of those that are files to write; the first process alone writes them.
        count: number of processes.

    Returns:
        memory in MB, the peaks of all processes added up.

    Raises:
        UserError: one of the processes raised it, or ended early; or there are fewer GPUs.
    """
    seen = devices.visible()
    if 0 < len(seen) < count:
        raise UserError(
            f"processes: found {count}, expected at most {len(seen)}, the GPUs of this job; lower "
            "`processes`, or give the run more GPUs (--resources gpu=...)"
        )
    threads = max(1, given["threads"] // count)
    with tempfile.TemporaryDirectory(prefix="specialist-processes-") as name:
        folder = Path(name)
        job = {"script": str(script), "given": {**given, "threads": threads}, "outputs": outputs}
        (folder / "job").write_bytes(pickle.dumps(job | {"parent": os.getpid()}))
        # Otherwise accelerate takes options from a file in the user's home folder.
        settings = {"compute_environment": "LOCAL_MACHINE", "distributed_type": "MULTI_GPU"}
        settings |= {"mixed_precision": "no", "use_cpu": False, "debug": False}
        (folder / "accelerate.json").write_text(json.dumps(settings))
        status = _run([
            sys.executable, "-m", "accelerate.commands.launch",
            "--config_file", str(folder / "accelerate.json"), *OPTIONS,
            "--num_processes", str(count), "--num_machines", "1", "--main_process_port", "0",
            "--num_cpu_threads_per_process", str(threads),
            "--module", "specialist.engine.worker", str(folder),
        ])  # fmt: skip
        _refuse_failure(folder, status, count)
        return sum(json.loads(path.read_text()) for path in folder.glob("memory-*"))


def _run(command):
    """Run a command, print its output, and return its exit status; it ends with this process."""
    path = os.pathsep.join(filter(None, (str(SCRIPTS), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=os.environ | {"PYTHONPATH": path},
    )
    try:
        for line in process.stdout:
            print(line, end="")
        return process.wait()
    finally:
        process.terminate()
        process.wait()


def _refuse_failure(folder, status, count):
    """Raise what one of the processes raised, or an error that one ended early."""
    told = sorted(folder.glob("error-*"))
    if told:
        raise UserError(told[0].read_text(encoding="utf-8"))
    if status:
        raise UserError(
            f"one of the {count} processes of this training ended early; the lines above say "
            "which. Give the same command again: training continues from its last checkpoint. If "
            "memory ran out, lower `processes` or the batch"
        )
