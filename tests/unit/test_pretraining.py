"""How pretraining starts, and what one row of it sees."""

import numpy as np
import pytest
import torch

from specialist.core.errors import UserError
from specialist.core.shape import shape
from specialist.train.muon import Float32Muon
from specialist.train.pretraining import base_model, loss_of, optimizers
from specialist.train.rows import Rows

END = 0


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return base_model(shape(2, 300), context=64, end=END)


def random_ids(rows, length):
    return torch.randint(1, 300, (rows, length), generator=torch.Generator().manual_seed(2))


def test_first_head_starts_by_attending_to_the_previous_token(model):
    model.set_attn_implementation("eager")
    weights = model(random_ids(4, 48), output_attentions=True).attentions
    model.set_attn_implementation("sdpa")
    back = [layer.diagonal(-1, dim1=-2, dim2=-1).mean(dim=(0, 2)) for layer in weights]
    assert back[0][0] > 0.4
    assert max(*back[0][1:], *back[1]) < 0.2


def test_repetition_is_foretold_better_than_chance_before_training(model):
    ids = random_ids(16, 24)
    twice = torch.cat([ids, ids], dim=1)
    logits = model(twice).logits[:, 24:-1].flatten(0, 1)
    right = torch.nn.functional.cross_entropy(logits, twice[:, 25:].flatten())
    wrong = torch.nn.functional.cross_entropy(logits, random_ids(16, 47)[:, 24:].flatten())
    assert right < wrong


def test_documents_of_a_row_do_not_see_each_other(model):
    ids = np.concatenate([np.arange(1, 20), [END], np.arange(100, 143), [END]])
    other = ids.copy()
    other[:19] = np.arange(201, 220)
    losses = []
    for tokens in (ids, other):
        tensors = Rows(tokens, END, 64).batch([0], "cpu")
        hidden = model.model(input_ids=tensors[0], position_ids=tensors[1]).last_hidden_state
        losses.append(hidden[0, 20:])
    torch.testing.assert_close(*losses)
    assert loss_of(model, *tensors).isfinite()


def test_positions_restart_at_each_row_and_document():
    tokens = np.array([5, 6, 7, 8, END, 9, END, 5, 6, 7, END, END, 8, 9, 5, END, 7], np.uint16)
    ids, positions = Rows(tokens, END, 4).batch([2, 0, 1, 3], "cpu")
    assert ids.tolist() == [[6, 7, END, END], [5, 6, 7, 8], [END, 9, END, 5], [8, 9, 5, END]]
    assert positions.tolist() == [[0, 1, 2, 0], [0, 1, 2, 3], [0, 0, 1, 0], [0, 1, 2, 3]]
    assert ids.dtype == positions.dtype == torch.int64


def test_rows_hold_no_copy_of_the_tokens(tmp_path):
    np.save(tmp_path / "tokens.npy", np.zeros(1 << 20, np.uint16))
    rows = Rows(np.load(tmp_path / "tokens.npy", mmap_mode="r"), END, 256)
    assert isinstance(rows.tokens, np.memmap) and not rows.tokens.flags.owndata
    assert not any(
        isinstance(value, np.ndarray) for name, value in vars(rows).items() if name != "tokens"
    )


def test_text_shorter_than_a_row_is_refused():
    with pytest.raises(UserError, match="found 10 tokens of text, expected at least the 64"):
        Rows(np.arange(10), END, 64)


@pytest.mark.parametrize("rows, columns", [(32, 32), (48, 16), (16, 48)])
def test_muon_in_fp32_is_that_of_torch_but_for_rounding(rows, columns):
    start, *gradients = torch.randn(4, rows, columns, generator=torch.Generator().manual_seed(3))
    moved = {}
    for kind in (torch.optim.Muon, Float32Muon):
        weights = torch.nn.Parameter(start.clone())
        optimizer = kind([weights], lr=0.1, weight_decay=0.5, ns_steps=3)
        for weights.grad in gradients:
            optimizer.step()
        moved[kind] = weights.detach() - start
    difference = moved[Float32Muon] - moved[torch.optim.Muon]
    assert 0 < difference.norm() < 0.02 * moved[torch.optim.Muon].norm()


@pytest.mark.parametrize("precision, kind", [("fp32", Float32Muon), ("bf16", torch.optim.Muon)])
def test_muon_computes_in_the_precision_of_the_training(model, precision, kind):
    assert type(optimizers(model, 0.01, 0.01, 0.01, precision)[0]) is kind
