"""An adapter goes into its base one matrix at a time, with the result that peft has in memory."""

import json

import pytest

import tiny_models
from specialist.core.errors import UserError
from specialist.train.merging import merge
from specialist.train.streaming import open_model

FILES = ("model.safetensors", "config.json")
VARIANTS = {"LoRA": {}, "rank-stabilised": {"use_rslora": True}, "DoRA": {"use_dora": True}}


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def base(request, tmp_path_factory):
    """Folder of a random model in one of two number formats."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tiny_models.save_model(tmp_path_factory.mktemp(request.param))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, request.param))
    model.save_pretrained(folder)
    return folder


def save_adapter(base, folder, **settings):
    """Write an adapter with random weights; returns the base with it, in memory."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    chosen = LoraConfig(
        r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM", **settings
    )
    adapted = get_peft_model(model, chosen).eval()
    adapted.save_pretrained(folder)
    return adapted


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_merges_as_peft_does(base, tmp_path, settings):
    import torch
    from safetensors.torch import load_file

    adapted = save_adapter(base, tmp_path / "adapter", **settings)
    ids = torch.arange(40).reshape(1, 40)
    with torch.inference_mode():
        before, streamed = adapted(ids).logits, open_model(base, tmp_path / "adapter")(ids).logits
    assert torch.equal(before, streamed)
    ours = [tmp_path / name for name in FILES]
    form = merge(*(base / name for name in FILES), tmp_path / "adapter", *ours)
    whole = adapted.merge_and_unload(safe_merge=True)
    whole.to(torch.float32 if form == "F32" else torch.float16).save_pretrained(tmp_path / "peft")
    theirs = [tmp_path / "peft" / name for name in FILES]
    assert json.loads(ours[1].read_text()) == json.loads(theirs[1].read_text())
    if "float32" in base.name:
        assert [file.read_bytes() for file in ours] == [file.read_bytes() for file in theirs]
    found, expected = load_file(ours[0]), load_file(theirs[0])
    assert found.keys() == expected.keys()
    for name, weight in found.items():
        assert weight.dtype == expected[name].dtype and torch.equal(weight, expected[name])


def test_adapter_of_another_base_is_refused(base, tmp_path):
    from safetensors.torch import load_file, save_file

    save_adapter(base, tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({k.replace("layers.1", "layers.7"): v for k, v in load_file(file).items()}, file)
    with pytest.raises(UserError, match=r"update of model\.layers\.7\.mlp\.down_proj\.weight"):
        merge(
            *(base / name for name in FILES), tmp_path / "adapter", *map(tmp_path.joinpath, FILES)
        )
