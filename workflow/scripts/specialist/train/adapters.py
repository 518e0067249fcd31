"""The trained part of a base: a low-rank update, or all of its weights."""

from specialist.core.errors import UserError
from specialist.core.schema_errors import near
from specialist.train.networks import empty_network

QLORA, FULL = "qlora", "full"


def load_base(folder, *, method="lora", attention="sdpa", precision="fp32"):
    """The base in a folder, as a method trains on it: QLoRA in 4 bits, all others in 32.

    If bf16 is computed, frozen weights that are stored in 16 bits stay in 16 bits: on a GPU in
    their own format, on a processor in bf16.

    Args:
        folder: with model.safetensors and config.json.
        attention: see `specialist.train.attention`.
        precision: see `specialist.core.precision`.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from specialist.core.precision import computes_bf16

    form = {"dtype": "float32"}
    if method != FULL and computes_bf16(precision):
        form = {"dtype": "auto" if torch.cuda.is_available() else _half(folder)}
    if method == QLORA:
        form = {"dtype": "bfloat16", "quantization_config": four_bits()}
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        attn_implementation=attention,
        **form,
    )
    for module in model.modules():
        # An evaluation would repack the weights for a kernel of processors with AVX512-BF16 that
        # has no gradient, and training after it would learn with wrong ones.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _half(folder):
    """bf16 for a base that is stored in 16 bits, fp32 for others."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return "bfloat16" if "16" in str(config.dtype) else "float32"


def four_bits():
    """How QLoRA stores the matrices of its base: NF4, with quantised scales of the blocks."""
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def peft_config(method, *, rank, alpha, dropout, target_modules):
    """What peft trains for a method; None for full fine-tuning, which needs no peft."""
    from peft import LoraConfig

    if method == FULL:
        return None
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=target_modules,
        use_dora=method == "dora",
        use_rslora=method == "rslora",
        task_type="CAUSAL_LM",
    )


def linear_layers(folder):
    """The linear layers of a base but for its head: {last part of the name: weights in a row}.

    Args:
        folder: with the base's config.json; its weights are not read.
    """
    import torch

    model = empty_network(folder)
    head = model.get_output_embeddings()
    return {
        name.rsplit(".", 1)[-1]: module.in_features
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }


def check_targets(place, folder, target_modules):
    """Refuse targets that match no layer of a base; its weights are not read.

    Args:
        place: the adapter's entry in the configuration, for the message.
        folder: with the base's config.json.
        target_modules: "all-linear" or a list of names.

    Raises:
        UserError: names each target without a match, and the layers that exist.
    """
    if isinstance(target_modules, str):
        return
    names = linear_layers(folder)
    unknown = [f"{name}{near(name, names)}" for name in target_modules if name not in names]
    if unknown:
        raise UserError(
            f"{place}.target_modules: found {', '.join(unknown)}; expected all-linear or "
            f"names of linear layers of the base: {', '.join(names)}"
        )


def save(model, weights, config):
    """Write what was trained: an adapter's files, or a whole model's under their names.

    Args:
        weights: adapter_model.safetensors to write.
        config: adapter_config.json to write, in the same folder.

    Returns:
        (trained parameters, all parameters)
    """
    folder = weights.parent
    if hasattr(model, "peft_config"):
        settings = model.peft_config["default"]
        settings.target_modules = sorted(settings.target_modules)  # a set has no order of its own
        model.save_pretrained(folder, selected_adapters=["default"])
        return model.get_nb_trainable_parameters()
    model.save_pretrained(folder, max_shard_size="1TB")
    (folder / "model.safetensors").rename(weights)
    (folder / "config.json").rename(config)
    return model.num_parameters(only_trainable=True), model.num_parameters()
