"""Training: pretraining, fine-tuning, adapters, merging.

It imports core.
"""
