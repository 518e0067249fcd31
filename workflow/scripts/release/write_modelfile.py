"""Writes the Modelfile for Ollama, with the format of the model's training."""


def write_modelfile(
    gguf, prompt, tools, modelfile, *, search, license, context, max_new_tokens
):  # fmt: skip
    """Write `modelfile`.

    Args:
        gguf: the model; its chat template and end tokens are what is written down.
        prompt: Jinja template of the system message.
        tools: tools.yaml, or an empty list.
        modelfile: file to write, to stand beside model.gguf.
        search: whether there is an index to search.
        license: the model's licence.
        context: most tokens of a conversation.
        max_new_tokens: most tokens of a turn.

    Raises:
        UserError: Ollama's language cannot say what the chat template does.
    """
    from specialist.core.prompt import system_message
    from specialist.gguf.runtime import Runtime
    from specialist.release import ollama
    from specialist.release.deployment import offered_tools

    with Runtime(gguf) as runtime:
        # Ollama's tokenizer adds the start token by itself where the model asks for one.
        start = runtime.control_text(runtime.bos) if runtime.adds_bos else ""
        texts = ollama.edges(runtime.render, start)
        tokens = runtime.control_tokens.items()
        stops = sorted(text for text, token in tokens if runtime.ends(token))
    # Greedy, as the agent decodes, and not steered away from what was said before.
    parameters = [("temperature", 0), ("top_k", 1), ("repeat_penalty", 1.0)]
    parameters += [("num_ctx", context), ("num_predict", max_new_tokens)]
    parameters += [("stop", text) for text in stops]
    system = system_message(prompt, offered_tools(tools, search))
    text = ollama.modelfile("model.gguf", ollama.go_template(texts), system, parameters, license)
    modelfile.write_text(text, encoding="utf-8")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(write_modelfile, snakemake)
