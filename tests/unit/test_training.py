"""What training computes in its own way is what the libraries compute."""

import pytest
import torch
from datasets import Dataset
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from specialist.train.attention import attend
from specialist.train.finetuning import on_one_device, trainer_class
from tiny_models import save_model

ROWS = [
    {"input_ids": list(range(5, 5 + length)), "labels": [-100] * 4 + list(range(9, 5 + length))}
    for length in (12, 30, 7, 19)
]


@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 0.02)])
def test_attention_is_that_of_pytorch(key_heads, kind, tolerance):
    draw = torch.Generator().manual_seed(1)
    query, key, value = (
        torch.randn(2, heads, 24, 64, generator=draw) for heads in (4, key_heads, key_heads)
    )
    # Two documents of 10 and 14 tokens, causal.
    seen = torch.block_diag(torch.ones(10, 10), torch.ones(14, 14)).tril().bool()
    mask = torch.zeros(2, 1, 24, 24).masked_fill(~seen, torch.finfo(torch.float32).min)
    found, _ = attend(torch.nn.Identity(), query, key, value.to(kind), mask, scaling=0.125)
    right = scaled_dot_product_attention(
        query, key, value, attn_mask=seen, scale=0.125, enable_gqa=key_heads < 4
    )
    assert found.dtype == kind
    torch.testing.assert_close(found.float(), right.transpose(1, 2), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_loss_is_that_of_trl(tmp_path, kind):
    """The same loss and gradients, with rows of different length in a batch."""
    folder = save_model(tmp_path / "model", kind)
    found = []
    for trainer_type in (SFTTrainer, trainer_class()):
        trainer = trainer_type(
            model=AutoModelForCausalLM.from_pretrained(folder),
            args=SFTConfig(
                output_dir=str(tmp_path / "out"), report_to="none", bf16=False, use_cpu=True
            ),
            processing_class=AutoTokenizer.from_pretrained(folder),
            train_dataset=Dataset.from_list(ROWS),
        )
        batch = trainer.data_collator([dict(row) for row in ROWS])
        loss = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=torch.tensor(60))
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
        found.append((loss.detach(), gradient))
    (trl_loss, trl_gradient), (loss, gradient) = found
    assert loss > 1
    torch.testing.assert_close(loss, trl_loss)
    torch.testing.assert_close(gradient, trl_gradient, atol=1e-5, rtol=1e-3)


def test_batch_stays_as_it_is_on_a_machine_with_eight_gpus(tmp_path):
    arguments = SFTConfig(output_dir=str(tmp_path), per_device_train_batch_size=4, use_cpu=True)
    arguments._n_gpu = 8  # what Transformers finds there
    assert arguments.train_batch_size == 32
    assert on_one_device(arguments).train_batch_size == 4
