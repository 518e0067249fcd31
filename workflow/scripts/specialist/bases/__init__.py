"""Models that exist already: where they are, and what is checked before they are trained.

It imports core, train and gguf.
"""
