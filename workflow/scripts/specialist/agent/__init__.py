"""The agent: protocol, grammar, environment, loop, policies, scoring.

It imports core, gguf and rag.
"""
