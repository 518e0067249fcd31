"""Memory, GPU memory and disk of a run, compared with this machine.

It imports core and config.
"""
