"""Retrieval: embedding models, vectors, search.

It imports core.
"""
