"""What a run needs of memory, GPU memory and disk, and whether this machine has it.

It imports core and config.
"""
