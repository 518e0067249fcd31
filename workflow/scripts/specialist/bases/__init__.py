"""Models that exist already: from a hub or from a folder.

It imports core, train and gguf.
"""
