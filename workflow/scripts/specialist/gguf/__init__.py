"""GGUF files: converter, runtime, information, random weights, speed.

It imports core.
"""
