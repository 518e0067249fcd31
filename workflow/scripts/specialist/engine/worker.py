"""One of the processes of a step: `python -m specialist.engine.worker FOLDER`.

It is started by `specialist.engine.processes`. The first process writes the outputs of the step;
what the others write and print is dropped.
"""

import contextlib
import importlib
import json
import os
import pickle
import sys
import tempfile
import threading
import time
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.hardware import peak_memory_mb
from specialist.engine.tracking import Tracking

LOOK = 1.0  # seconds between two looks for the process that started this one


def main(folder):
    """Call the step of a job.

    Args:
        folder: where `specialist.engine.processes.launch` wrote the job; the errors of this
            process and its memory are written there.
    """
    job, rank = pickle.loads((folder / "job").read_bytes()), int(os.environ["RANK"])
    threading.Thread(target=_end_with, args=(job["parent"],), daemon=True).start()
    script, given = Path(job["script"]), job["given"]
    sys.path.insert(0, str(script.parent))
    with contextlib.ExitStack() as stack:
        if rank:
            aside = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            given |= {name: _aside(given[name], aside) for name in job["outputs"] if name in given}
            given |= {"tracking": Tracking()} if "tracking" in given else {}
            muted = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(muted))
        if "tracking" in given:
            stack.enter_context(given["tracking"])
        try:
            getattr(importlib.import_module(script.stem), script.stem)(**given)
        except UserError as error:
            (folder / f"error-{rank}").write_text(str(error), encoding="utf-8")
            sys.exit(1)
    (folder / f"memory-{rank}").write_text(json.dumps(peak_memory_mb()))


def _aside(path, folder):
    """A path for an output that nobody keeps, in a folder of the same name as its own."""
    (folder / path.parent.name).mkdir(exist_ok=True)
    return folder / path.parent.name / path.name


def _end_with(parent):
    """End this process when its parent has ended: nobody would use what this process makes."""
    import psutil

    while psutil.pid_exists(parent):
        time.sleep(LOOK)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
