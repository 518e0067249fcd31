"""Training data from documents and tools: a teacher writes it, and checks drop what is not sure.

It imports core, agent, data, gguf and rag.
"""
