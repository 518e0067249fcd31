"""A model of Transformers without its weights."""

from specialist.core.errors import UserError


def empty_network(folder):
    """The model that a config.json describes, on the meta device: it takes no memory.

    Args:
        folder: with config.json.

    Raises:
        UserError: Transformers cannot build it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # wrong sizes can fail anywhere in Transformers
        reason = " ".join(str(error).split())
        raise UserError(
            f"{folder / 'config.json'}: Transformers cannot build this model: "
            f"{type(error).__name__}: {reason[:400]}"
        ) from None
