"""Models of real shapes with random weights, as Transformers reads them, written piece by piece."""

import json
import shutil

from specialist.engine.digest import SCRIPTS
from tiny_models import byte_level_bpe

TEMPLATE = SCRIPTS.parents[1] / "resources/prompts/chat_template.jinja"
BLOCK = 1 << 22  # random numbers that are drawn; larger matrices repeat them
CONFIGS = {
    "0.05B": ("qwen3", 512, 12, 8, 8, 1536, 16384, True),
    "135M": ("llama", 576, 30, 9, 3, 1536, 49152, True),  # SmolLM2-135M
    "0.5B": ("qwen2", 896, 24, 14, 2, 4864, 151936, True),  # Qwen2.5-0.5B
    "1.5B": ("qwen2", 1536, 28, 12, 2, 8960, 151936, True),  # Qwen2.5-1.5B
    "7B": ("qwen2", 3584, 28, 28, 4, 18944, 152064, False),  # Qwen2.5-7B
}


def config(name, layers=None):
    """The configuration, of Transformers, of a model by its name in CONFIGS.

    Args:
        layers: in place of the model's own number.
    """
    from transformers import AutoConfig

    kind, hidden, depth, heads, key_heads, inner, vocabulary, tied = CONFIGS[name]
    return AutoConfig.for_model(
        kind,
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers or depth,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        head_dim=hidden // heads,
        max_position_embeddings=1024,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=None,
        use_cache=False,
        dtype="bfloat16",
        architectures=[f"{kind.capitalize()}ForCausalLM"],
    )


def save(folder, name, layers=None):
    """Write a model in bf16, one piece in memory at a time, with a small tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    made = config(name, layers)
    made.save_pretrained(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(made)
    shapes = {name: [*weight.shape] for name, weight in model.named_parameters()}
    write(folder / "model.safetensors", shapes)
    save_tokenizer(folder)
    return folder


def write(path, shapes):
    """Write a safetensors file of bf16: matrices at random, vectors of ones (biases of zeros)."""
    import torch

    header, place = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        size = 2 * torch.Size(shape).numel()
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = torch.empty(BLOCK).normal_(0, 0.02, generator=torch.Generator().manual_seed(1))
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            left = torch.Size(shape).numel()
            fill = block if len(shape) == 2 else torch.full((BLOCK,), float("bias" not in name))
            data = fill.bfloat16().view(torch.uint8).numpy()
            while left:
                file.write(memoryview(data[: 2 * left]))
                left -= min(left, BLOCK)


def save_tokenizer(folder):
    """Write a tokenizer of a few hundred tokens, the first of the model's vocabulary."""
    byte_level_bpe().save_pretrained(folder)
    shutil.copy(TEMPLATE, folder / "chat_template.jinja")


def save_adapter(folder, base, rank=16):
    """Write a LoRA adapter with random weights for a base, as peft does; nothing is trained."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base))
        settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        names = get_peft_model(model, settings).state_dict()
    shapes = {
        name.replace(".default", ""): [*weight.shape]
        for name, weight in names.items()
        if ".lora_" in name
    }
    folder.mkdir(parents=True, exist_ok=True)
    settings.target_modules = sorted({name.split(".")[-3] for name in shapes})
    settings.save_pretrained(folder)
    write(folder / "adapter_model.safetensors", shapes)
    return folder
