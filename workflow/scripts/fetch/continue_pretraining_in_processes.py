"""Continues the pretraining of an imported base, as one of several processes."""


def continue_pretraining_in_processes(**given):
    """Take the steps of `continue_pretraining` together with the other processes.

    Args:
        given: arguments of `continue_pretraining`, the same in all processes.
    """
    from continue_pretraining import continue_pretraining

    from specialist.train import pretraining, processes

    with processes.divided(pretraining):
        continue_pretraining(**given)
