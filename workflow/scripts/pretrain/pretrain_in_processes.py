"""Pretrains a base model from scratch, as one of several processes."""


def pretrain_in_processes(**given):
    """Take the steps of `pretrain` together with the other processes.

    Args:
        given: arguments of `pretrain`, the same in all processes.
    """
    from pretrain import pretrain
    from specialist.train import pretraining, processes

    with processes.divided(pretraining):
        pretrain(**given)
