"""Checkpoints of a long step, from which the same run goes on after it was killed.

They lie beside what the step makes, where Snakemake does not know them: it deletes what a
failed job has declared. Their folder is named by the key of the run, which covers all that
decides its outcome, so those of another run are never taken. A checkpoint gets its name when
it is whole and on the disk, so one that was being written is not taken either.
"""

import shutil
import time
from pathlib import Path

from specialist.core.files import flush


class Checkpoints:
    """The checkpoints of one run; only the last is kept.

    Args:
        folder: of this run alone.
        seconds: between two checkpoints.
    """

    def __init__(self, folder, seconds):
        self.folder, self.seconds, self._latest = Path(folder), seconds, time.monotonic()

    def due(self):
        """Whether it is time for another."""
        return time.monotonic() - self._latest >= self.seconds

    def last(self):
        """Path of the last complete checkpoint, which is also printed, or None."""
        steps = [int(path.name) for path in self.folder.glob("*") if path.name.isdecimal()]
        if not steps:
            return None
        path = self.folder / str(max(steps))
        print(f"goes on from step {path.name}: {path}")
        return path

    def keep(self, path, step):
        """Take a file or folder inside `folder` as the checkpoint after a step."""
        for written in [*path.rglob("*"), path]:
            flush(written)
        kept = path.rename(self.folder / str(step))
        flush(self.folder)
        for other in self.folder.iterdir():
            if other != kept:
                shutil.rmtree(other) if other.is_dir() else other.unlink()
        self._latest = time.monotonic()

    def save(self, step, state):
        """Keep the state after a step: dicts and lists of tensors, numbers and texts."""
        import torch

        self.folder.mkdir(parents=True, exist_ok=True)
        torch.save(state, self.folder / "unfinished")
        self.keep(self.folder / "unfinished", step)

    def load(self):
        """The last state, or None."""
        import torch

        path = self.last()
        return path and torch.load(path, map_location="cpu", weights_only=True)


def trainer_checkpoints(checkpoints):
    """A callback by which a Transformers trainer keeps them; its `output_dir` is their folder."""
    from transformers import TrainerCallback

    class Callback(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            # Only here: a checkpoint does not contain the loss summed since the last log line.
            control.should_save = "loss" in (logs or {}) and checkpoints.due()

        def on_save(self, args, state, control, **kwargs):
            path = checkpoints.folder / f"checkpoint-{state.global_step}"
            checkpoints.keep(path, state.global_step)

    return Callback()
