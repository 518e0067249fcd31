"""A specialist that people use: deployment, server, Ollama.

It imports core and the agent's rooms.
"""
