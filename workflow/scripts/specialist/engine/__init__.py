"""How a step runs: digests, cache, checkpoints, records, plan, verification.

Scripts and the Snakefile import it. No digest of a step contains it; see digest.py.
"""
