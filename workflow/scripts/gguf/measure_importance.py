"""Measures how much each input of a model's layers matters, on training conversations."""

CONVERSATIONS, SEED = 64, 0  # that are read, drawn by the seed
BATCH = 8


def measure_importance(
    model, config, tokenizer, tokenizer_config, chat_template, conversations, system_prompt,
    imatrix, *, threads,
):  # fmt: skip
    """Write the importance matrix that quantisation can use.

    Args:
        model, config: files of a Hugging Face model, in one folder.
        tokenizer, tokenizer_config, chat_template: its tokenizer, in one folder.
        conversations: JSONL of {"messages": [...]}, the training conversations.
        system_prompt: text put before every conversation that has no system message.
        imatrix: GGUF to write; see `specialist.gguf.imatrix`.
        threads: CPU threads.

    Raises:
        UserError: there are no conversations.
    """
    import torch
    from transformers import AutoTokenizer

    from specialist.core.errors import UserError
    from specialist.gguf import imatrix as matrices
    from specialist.train.conversations import draw, with_system_prompt
    from specialist.train.importance import squares
    from specialist.train.streaming import open_model

    torch.set_num_threads(threads)
    processing = AutoTokenizer.from_pretrained(
        tokenizer.parent, local_files_only=True, trust_remote_code=False
    )
    rows = with_system_prompt(conversations, system_prompt.read_text(encoding="utf-8"))
    if not rows:
        raise UserError(
            f"{conversations}: found no training conversations; an importance matrix needs some, "
            "so add conversations or use types without _IMATRIX"
        )
    drawn = [rows[i] for i in draw(len(rows), min(CONVERSATIONS, len(rows)), SEED)]
    network = open_model(model.parent)
    sums, count = squares(network, processing, drawn, BATCH)
    names = _names(network)
    matrices.write(
        imatrix,
        {names[name]: values for name, values in sums.items()},
        count,
        conversations=len(drawn),
    )
    print(f"{len(sums)} matrices, {count:,} tokens of {len(drawn)} conversations")


def _names(network):
    """{a linear layer's name in Transformers: its tensor's name in llama.cpp}"""
    import gguf
    from specialist.gguf.converter import architecture

    layers = network.config.num_hidden_layers
    table = gguf.get_tensor_name_map(architecture(network.config), layers)
    return {
        name: found + ".weight"
        for name, _ in network.named_modules()
        if (found := table.get_name(name))
    }


if "snakemake" in globals():
    from specialist.engine.step import run

    run(measure_importance, snakemake)
