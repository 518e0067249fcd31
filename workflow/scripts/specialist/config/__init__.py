"""The configuration: reading, defaults, checks, paths, and the paper's experiments.

It imports core.
"""
