"""Progress of long stages: occasional lines in the terminal and the log."""

import time


class Progress:
    """Prints stage, step, loss and time left, at most once in `every` seconds.

    Args:
        stage: what is running.
        total: number of steps.
        done: steps that were taken before, by a run that was killed.
        every: seconds between two lines.
    """

    def __init__(self, stage, total, done=0, every=5.0):
        self.stage, self.total, self.done, self.every = stage, total, done, every
        self.begin = self.last = time.perf_counter()

    def __call__(self, step, text=""):
        now = time.perf_counter()
        if step < self.total and now - self.last < self.every:
            return
        self.last = now
        left = (now - self.begin) / max(step - self.done, 1) * (self.total - step)
        print(f"{self.stage}: step {step}/{self.total}  {text}  {left:.0f} s left", flush=True)


def trainer_progress(stage):
    """The same for a Transformers trainer, as a callback."""
    from transformers import TrainerCallback

    class Callback(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            self.progress, self.text = Progress(stage, state.max_steps, state.global_step), ""

        def on_log(self, args, state, control, logs=None, **kwargs):
            if "loss" in (logs or {}):
                self.text = f"loss {float(logs['loss']):.4f}"

        def on_train_end(self, args, state, control, **kwargs):
            self.progress(state.max_steps, self.text)

        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step < state.max_steps:
                self.progress(state.global_step, self.text)

    return Callback()
