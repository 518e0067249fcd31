"""The loss of a large vocabulary in parts is the loss, with the same gradients."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from specialist.preflight import needs
from specialist.train import loss
from specialist.train.adapters import load_base
from specialist.train.finetuning import carried

SIZES = {
    "vocab_size": 3000, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = LlamaForCausalLM(LlamaConfig(**SIZES)).requires_grad_(False)
    made.model.layers[0].mlp.up_proj.weight.requires_grad_(True)
    return made


@pytest.mark.parametrize(("bf16", "close"), [(False, 1e-5), (True, 2e-2)])
def test_loss_in_parts_is_the_loss(bf16, close, model, monkeypatch):
    monkeypatch.setattr(loss, "LOGITS", 16 * SIZES["vocab_size"])
    ids = torch.randint(0, SIZES["vocab_size"], (3, 40))
    carries = torch.rand(3, 39) < 0.5
    targets = ids[:, 1:][carries]
    assert len(targets) % 16 and loss.in_parts(model, len(targets))
    trained, found = model.model.layers[0].mlp.up_proj.weight, []
    for parts in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            if parts:
                total = loss.carried_loss(model, carries, targets, input_ids=ids)
            else:
                logits = carried(model, carries, input_ids=ids).logits.float()
                total = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
        (total / 7).backward()
        found.append((total.item(), trained.grad.clone()))
        trained.grad = None
    (plain, expected), (value, gradient) = found
    assert value == pytest.approx(plain, rel=1e-6)
    assert (gradient - expected).norm() < close * expected.norm()


def test_loss_in_parts_is_for_large_vocabularies_and_plain_frozen_heads(model, monkeypatch):
    # The default base: batches of four conversations, 4,096 tokens in its vocabulary.
    assert needs.LOGITS == loss.LOGITS
    assert not loss.in_parts(model, loss.LOGITS // SIZES["vocab_size"])
    assert loss.in_parts(model, 1 + loss.LOGITS // SIZES["vocab_size"])
    monkeypatch.setattr(model.config, "final_logit_softcapping", 30.0, raising=False)
    assert not loss.in_parts(model, loss.LOGITS)
    monkeypatch.undo()
    monkeypatch.setattr(model.lm_head.weight, "requires_grad", True)
    assert not loss.in_parts(model, loss.LOGITS)


@pytest.mark.parametrize(
    ("stored", "method", "precision", "kept"),
    [
        (torch.float16, "lora", "bf16", torch.bfloat16),
        (torch.bfloat16, "dora", "bf16", torch.bfloat16),
        (torch.float32, "lora", "bf16", torch.float32),
        (torch.float16, "full", "bf16", torch.float32),
        (torch.float16, "lora", "fp32", torch.float32),
    ],
)
def test_frozen_base_stays_in_sixteen_bits(stored, method, precision, kept, tmp_path):
    LlamaForCausalLM(LlamaConfig(**SIZES)).to(stored).save_pretrained(tmp_path)
    assert load_base(tmp_path, method=method, precision=precision).dtype == kept


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_inputs_that_peft_does_not_cast_give_the_same_gradients(stored):
    from peft import get_peft_model
    from peft.helpers import disable_input_dtype_casting

    from specialist.train.adapters import peft_config

    torch.manual_seed(0)
    base = LlamaForCausalLM(LlamaConfig(**SIZES)).to(stored)
    settings = peft_config("lora", rank=4, alpha=8, dropout=0.0, target_modules="all-linear")
    settings.init_lora_weights = False
    model, ids, found = get_peft_model(base, settings), torch.arange(90).view(3, 30), []
    for active in (False, True):
        with disable_input_dtype_casting(model, active=active), torch.autocast("cpu"):
            model(input_ids=ids, labels=ids).loss.backward()
        trained = [p for p in model.parameters() if p.requires_grad]
        found.append(torch.cat([p.grad.flatten() for p in trained]))
        model.zero_grad()
    assert found[0].abs().sum() > 0 and torch.equal(*found)
