"""Trains an adapter on a frozen base, or all weights of the base, as one of several processes."""


def train_lora_in_processes(*, settings, checkpoints, **given):
    """Take the steps of `train_lora` together with the other processes.

    Args:
        settings, checkpoints, given: arguments of `train_lora`, the same in all processes. The
            batch in `settings` is that of one process alone.
    """
    from types import SimpleNamespace

    import train_lora as alone

    from specialist.core.shares import shares
    from specialist.train import processes

    group, make = processes.group(), alone._trainer
    rows, passes = shares(settings.batch_size, settings.gradient_accumulation, group.num_processes)
    share = {"batch_size": rows, "gradient_accumulation": passes}

    def divided(*parts):
        return processes.divide_trainer(make(*parts), settings.batch_size)

    alone._trainer = divided  # by name, as in `specialist.train.processes.divided`
    try:
        alone.train_lora(
            settings=SimpleNamespace(**vars(settings) | share),
            checkpoints=processes.SharedCheckpoints(checkpoints, group),
            **given,
        )
        group.wait_for_everyone()
    finally:
        alone._trainer = make
        group.destroy_process_group()
