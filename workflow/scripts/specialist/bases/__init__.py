"""Imported models: location, and checks before training.

It imports core, train and gguf.
"""
