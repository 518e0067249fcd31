"""What trackers show of a training while it runs: losses, learning rates and memory.

Tracking has no part in a result. Like the time between checkpoints, it is in no parameter, digest
or key, so a change of `tracking` trains nothing again. A training that is restored from the cache
is not tracked.

Transformers' own callbacks write to each tracker, for our loops too. Everything stays in one
folder on this machine.
"""

import contextlib
import importlib.util
import io
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

from specialist.core.errors import UserError
from specialist.core.files import write_whole

FOLDER = Path("results/tracking")
PROJECT = "specialist"
EVERY = 10  # steps of our own loops between two entries, as in `trainer_arguments`
INSTALL = "python -m pip install --no-deps --requirement envs/tracking.txt"
# With these, a tracker would send its figures to a server, or write into another run.
REMOTE = (
    "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID", "TRACKIO_WEBHOOK_URL",
    "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_TAGS", "MLFLOW_EXPERIMENT_ID",
)  # fmt: skip
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "HF_MLFLOW_LOG_ARTIFACTS": "false",
    "DO_NOT_TRACK": "1",
}


def check(trackers):
    """Refuse trackers that are not installed.

    Args:
        trackers: names, which are those of their modules too.

    Raises:
        UserError: names them, and the command that installs them.
    """
    missing = [name for name in trackers if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"tracking: found {', '.join(missing)}, expected packages of this environment; install "
            f"them ({INSTALL}) or remove them from `tracking`"
        )


class Tracking:
    """The trackers of one training, closed at the end of a `with` block.

    Args:
        trackers: names; without any, every method does nothing.
        name: of the training, such as "pretrain-food-delivery-small".
        key: of the run, as of its checkpoints. A training that goes on from a checkpoint of the
            same key goes on in the same run of each tracker.
        settings: dict of what the training computes with, to show.
        folder: of all trackers.
    """

    def __init__(self, trackers=(), name="", key="", settings=None, folder=FOLDER):
        self.trackers, self.name, self.key, self.settings = trackers, name, key, settings or {}
        self.folder = Path(folder).absolute()
        self.note = self.folder / "runs" / f"{name}.json"
        self.state = SimpleNamespace(
            is_world_process_zero=True, is_hyper_param_search=False, global_step=0
        )
        self.callbacks, self.known = {}, 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self._tell("on_train_end")
        if "mlflow" in self.callbacks:
            with self._dropped_on_failure("mlflow"):
                _end_mlflow("FAILED" if kind else "FINISHED")

    def begin(self, step):
        """Open the trackers.

        Args:
            step: number of steps that were taken before, by a run that was killed.
        """
        if not self.trackers:
            return
        check(self.trackers)
        if remote := [name for name in REMOTE if os.environ.pop(name, None) is not None]:
            print(f"tracking: ignores {', '.join(remote)}; all figures stay in {self.folder}")
        os.environ.update(QUIET, TRACKIO_DIR=str(self.folder / "trackio"))
        self.run = self._last() if step else None
        if self.run is None:
            self.run = {"key": self.key, "name": f"{self.name}-{time.strftime('%Y%m%d-%H%M%S')}"}
        # What was logged after the checkpoint comes again, with the same values.
        self.known = self.run.get("step", 0)
        with contextlib.suppress(OSError):  # then each tracker says what is wrong
            self.note.parent.mkdir(parents=True, exist_ok=True)
        self.arguments = _arguments(self.run["name"], self.settings)
        for tracker in self.trackers:
            with self._dropped_on_failure(tracker):
                self.callbacks[tracker] = OPEN[tracker](self)
        self._tell("on_train_begin")

    def log(self, step, figures):
        """Tell the trackers figures after a number of steps, and the memory in use.

        Args:
            figures: {name: number}; "loss" stands for figures of the training itself.
        """
        if not self.callbacks or ("loss" in figures and step <= self.known):
            return
        self.state.global_step = step
        self._tell("on_log", logs={**figures, **memory()})
        if "mlflow" in self.callbacks:  # a kill would lose what waits to be written
            with self._dropped_on_failure("mlflow"):
                _flush_mlflow()
        noted = {**self.run, "step": max(step, self.known)}
        with contextlib.suppress(OSError):
            write_whole(self.note, json.dumps(noted) + "\n")

    @staticmethod
    def due(step, steps):
        """Whether one of our own loops logs after a step."""
        return step % EVERY == 0 or step in (1, steps)

    def _last(self):
        """What is noted of the run that was killed, or None."""
        with contextlib.suppress(OSError, ValueError):
            noted = json.loads(self.note.read_text(encoding="utf-8"))
            if noted["key"] == self.key:
                return noted
        return None

    def _tell(self, event, **values):
        """Call a method of all callbacks."""
        for tracker, callback in list(self.callbacks.items()):
            with self._dropped_on_failure(tracker):
                getattr(callback, event)(self.arguments, self.state, None, **values)

    @contextlib.contextmanager
    def _dropped_on_failure(self, tracker):
        """A tracker that fails, on a full disk for example, costs no training its work.

        What it prints is lost: trackio speaks of uploads, and makes none here.
        """
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except Exception as error:
            print(f"tracking: {tracker} failed and gets no more figures: {error}")
            self.callbacks.pop(tracker, None)


def _tensorboard(tracking):
    from transformers.integrations.integration_utils import TensorBoardCallback

    folder = tracking.folder / "tensorboard" / tracking.run["name"]
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder)
    return TensorBoardCallback()


def _mlflow(tracking):
    import mlflow
    from transformers.integrations.integration_utils import MLflowCallback

    mlflow.set_tracking_uri(f"sqlite:///{tracking.folder / 'mlflow.db'}")
    mlflow.set_experiment(PROJECT)
    run = mlflow.start_run(tracking.run.get("mlflow"), run_name=tracking.run["name"])
    tracking.run["mlflow"] = run.info.run_id
    return MLflowCallback()


def _flush_mlflow():
    import mlflow

    mlflow.flush_async_logging()


def _end_mlflow(status):
    import mlflow

    _flush_mlflow()
    mlflow.end_run(status)
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)  # set by set_experiment


def _trackio(tracking):
    from transformers.integrations.integration_utils import TrackioCallback

    return TrackioCallback()


OPEN = {"tensorboard": _tensorboard, "mlflow": _mlflow, "trackio": _trackio}


def _arguments(name, settings):
    """What Transformers' callbacks read of a trainer's arguments, with our settings to show."""
    return SimpleNamespace(
        run_name=name,
        project=PROJECT,
        trackio_space_id=None,
        trackio_bucket_id=None,
        hub_private_repo=None,
        to_dict=lambda: dict(settings),
        to_json_string=lambda: json.dumps(settings, indent=1, default=str),
    )


def memory():
    """{name: MB (10**6 bytes) that this process uses now}."""
    import psutil
    import torch

    found = {"memory_mb": round(psutil.Process().memory_info().rss / 1e6)}
    if torch.cuda.is_available():
        found["gpu_memory_mb"] = round(torch.cuda.memory_allocated() / 1e6)
    return found


def trainer_tracking(tracking):
    """A callback by which a Transformers trainer tells the trackers what it logs."""
    from transformers import TrainerCallback

    class Callback(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            tracking.begin(state.global_step)

        def on_log(self, args, state, control, logs=None, **kwargs):
            tracking.log(state.global_step, logs or {})

    return Callback()
