"""GGUF files: converter, runtime, information, random weights, speed,
and whether two tokenizers agree.

It imports core.
"""
