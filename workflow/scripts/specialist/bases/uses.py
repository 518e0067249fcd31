"""Checks whether this workflow can train and convert a base, from its config.json."""

from specialist.core.errors import UserError
from specialist.core.model_files import CONFIG, TOKENIZER


def check_config(place, config, tokens, context):
    """Raise UserError if this workflow cannot train and convert a base.

    Args:
        config: dict of its config.json.
        tokens: size of its tokenizer, added tokens included.
        context: of its entry in the configuration.
    """
    if "quantization_config" in config:
        raise UserError(
            f"{place}: {CONFIG}: found quantization_config, expected weights that are not "
            "quantised; use the original model"
        )
    if tokens > (config.get("vocab_size") or 0):
        raise UserError(
            f"{place}: {CONFIG}: vocab_size: found {config.get('vocab_size')}, expected at least "
            f"the {tokens} tokens of {TOKENIZER}; the tokenizer is of another model, or tokens "
            "were added without embeddings for them"
        )
    if context > (config.get("max_position_embeddings") or context):
        raise UserError(
            f"{place}.context: found {context}, expected at most the model's "
            f"max_position_embeddings, {config['max_position_embeddings']}"
        )


def check_uses(place, folder, targets, quantizations):
    """Refuse layers that later steps cannot use; the weights are not read.

    Args:
        folder: with config.json.
        targets: {adapter: its `target_modules`} of the adapters on this base.
        quantizations: llama.cpp's names of the types that must store every row.

    Raises:
        UserError: there is no such layer, or a type cannot store its rows.
    """
    from specialist.gguf.info import quantizations as known
    from specialist.train.adapters import check_targets, linear_layers

    for adapter, names in targets.items():
        check_targets(f"adapters.{adapter}", folder, names)
    layers, types = linear_layers(folder), known()
    for kind in quantizations:
        block = types[kind][1]
        for name, row in layers.items():
            if row % block:
                fitting = ", ".join(k for k, (_, size) in types.items() if size == 32)
                raise UserError(
                    f"{place}: {CONFIG}: {name} has rows of {row} weights, but {kind} of "
                    f"`quantizations` takes multiples of {block} and `strict_quantization` is on; "
                    f"turn it off, or use one of {fitting}"
                )
