"""A model's config.json, checked before its numbers determine any allocation."""

import json
import math

from specialist.core.errors import UserError

# Upper limit of each size: several times that of the largest open models.
LIMITS = {
    ("num_hidden_layers", "n_layer", "num_layers"): 1_000,
    ("hidden_size", "n_embd", "d_model", "head_dim"): 1 << 18,
    ("intermediate_size", "n_inner", "moe_intermediate_size"): 1 << 20,
    ("num_attention_heads", "num_key_value_heads", "n_head"): 1 << 14,
    ("num_experts", "num_local_experts", "n_routed_experts"): 1 << 14,
    ("vocab_size",): 1 << 22,
    ("max_position_embeddings", "n_positions"): 1 << 28,
}
BOUNDS = {name: most for names, most in LIMITS.items() for name in names}
INFINITE = {"time_step_limit"}  # for which published models give infinity


def check_sizes(config, place):
    """Raise UserError if a config.json is not an object, or has an impossible size.

    Args:
        config: what the file holds.
        place: what the file is called in messages.
    """
    if not isinstance(config, dict):
        raise UserError(f"{place}: found {_shown(config)}, expected an object, {{...}}")
    if not isinstance(kind := config.get("model_type", ""), str):
        raise UserError(f"{place}: model_type: found {_shown(kind)}, expected a name")
    for key, value in config.items():
        if isinstance(value, dict):
            check_sizes(value, f"{place}: {key}")
        elif key in BOUNDS and value is not None:
            sizes = value if isinstance(value, list) else [value]  # some have one for each layer
            if not all(type(size) is int and 1 <= size <= BOUNDS[key] for size in sizes):
                raise UserError(
                    f"{place}: {key}: found {_shown(value)}, expected a whole number from 1 to "
                    f"{BOUNDS[key]:,}"
                )
        elif key not in INFINITE and isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{place}: {key}: found {value}, expected a finite number")


def _shown(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
