"""What a killed step goes on from: the last whole state of the same run, and nothing else."""

import pytest
import torch
from snakemake.iocontainers import Namedlist

from specialist.core.shape import shape
from specialist.engine import step
from specialist.engine.checkpoints import Checkpoints, trainer_checkpoints
from specialist.train import pretraining


@pytest.fixture
def job(tmp_path):
    """Function that does a step as Snakemake would, with a parameter and a time between states."""

    class Snakemake:
        rule, threads, input, wildcards = "count", 1, Namedlist(), Namedlist()
        resources = Namedlist()
        output = Namedlist(fromdict={"made": str(tmp_path / "made.txt")})
        log = [str(tmp_path / "log.txt")]

    def run(function, until, seconds=0):
        Snakemake.params = Namedlist(fromdict={"until": until, "code": "0 pretrain/pretrain.py"})
        Snakemake.config = {
            "cache": {"folder": tmp_path / "cache", "max_gb": 0},
            "checkpoint_seconds": seconds,
        }
        step.run(function, Snakemake)

    return run


def killed(made, *, until, checkpoints):
    """A step that ends in the middle, with a checkpoint of its half."""
    assert checkpoints.load() is None
    made.write_text("half")
    checkpoints.save(until // 2, {"counted": until // 2})
    raise RuntimeError


def goes_on(made, *, until, checkpoints):
    assert checkpoints.load() == {"counted": until // 2}
    made.write_text("whole")


def begins(made, *, until, checkpoints):
    assert checkpoints.load() is None
    made.write_text("whole")


def test_the_same_run_goes_on_and_leaves_nothing(job, tmp_path):
    with pytest.raises(SystemExit):
        job(killed, until=10)
    job(goes_on, until=10, seconds=60)  # the time between states does not make it another run
    assert "goes on from step 5" in (tmp_path / "log.txt").read_text()
    assert not list(tmp_path.glob("*.checkpoints"))


def test_another_run_takes_no_stale_checkpoint_and_removes_it(job, tmp_path):
    with pytest.raises(SystemExit):
        job(killed, until=10)
    job(begins, until=12)
    assert not list(tmp_path.glob("*.checkpoints"))


def test_only_the_last_whole_state_is_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "key", 0)
    for number in (9, 10):
        checkpoints.save(number, {"counted": number})
    for name in ("unfinished", "checkpoint-30"):
        (checkpoints.folder / name).mkdir()
        (checkpoints.folder / name / "state").write_bytes(b"half")
    assert Checkpoints(tmp_path / "key", 0).load() == {"counted": 10}
    checkpoints.keep(checkpoints.folder / "checkpoint-30", 30)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["30"]


def test_a_state_is_due_when_its_time_has_come(tmp_path):
    assert Checkpoints(tmp_path, 0).due()
    assert not Checkpoints(tmp_path, 3600).due()


def test_code_is_not_loaded_from_a_state(tmp_path):
    checkpoints = Checkpoints(tmp_path / "key", 0)
    checkpoints.save(1, {"counted": test_code_is_not_loaded_from_a_state})
    with pytest.raises(Exception, match="Weights only load failed"):
        checkpoints.load()


def test_a_trainer_saves_where_its_loss_was_logged(tmp_path):
    from transformers import TrainerControl

    callback, control = trainer_checkpoints(Checkpoints(tmp_path, 0)), TrainerControl()
    callback.on_log(None, None, control, logs={"eval_loss": 1.0})
    assert not control.should_save
    callback.on_log(None, None, control, logs={"loss": 1.0})
    assert control.should_save


def train(model, optimizers, steps):
    """Losses of some steps on rows that are the same for the same steps."""
    losses = []
    for number in steps:
        ids = torch.randint(1, 300, (4, 32), generator=torch.Generator().manual_seed(number))
        loss = pretraining.loss_of(model, ids, torch.arange(32).expand(4, -1))
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_pretraining_goes_on_to_the_same_bits(tmp_path):
    def fresh(seed):
        torch.manual_seed(seed)
        model = pretraining.base_model(shape(1, 300), context=64, end=0)
        return model, pretraining.optimizers(model, 0.01, 0.01, 0.01, "fp32")

    whole, whole_optimizers = fresh(1)
    expected = train(whole, whole_optimizers, range(6))
    model, optimizers = fresh(1)
    losses = train(model, optimizers, range(3))
    checkpoints = Checkpoints(tmp_path / "key", 0)
    checkpoints.save(3, pretraining.state(model, optimizers, losses, ["a text"]))
    model, optimizers = fresh(2)
    begin, losses, samples = pretraining.resume(checkpoints.load(), model, optimizers)
    assert (begin, samples) == (3, ["a text"])
    assert losses + train(model, optimizers, range(3, 6)) == expected
    for name, tensor in whole.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
