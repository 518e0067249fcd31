"""Datasets: formats, simulation, checks of tools and tasks, audits.

It imports core, and the agent's protocol and environment, which simulated episodes use.
"""
