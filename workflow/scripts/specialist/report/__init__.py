"""Results for people: claims, curves, plots, summaries.

It imports core and config.
"""
