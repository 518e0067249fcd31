"""What each tracker wrote of a training, read back by the tracker's own package."""

import json
import os
import time

import pytest
import torch

from specialist.core.errors import UserError
from specialist.core.shape import shape
from specialist.engine import tracking as module
from specialist.engine.checkpoints import Checkpoints
from specialist.engine.tracking import INSTALL, PROJECT, Tracking
from specialist.train import pretraining
from specialist.train.rows import Rows
from test_adapters import Adapter

REASON = "envs/tracking.txt is not installed"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of all trackers; trackio reads its variable once, when it is imported."""
    return tmp_path_factory.mktemp("tracking")


def tensorboard(folder, run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard" / run["name"])).Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def mlflow(folder, run):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    found = client.get_run(run["mlflow"])
    assert found.info.run_name == run["name"] and found.data.params["rank"] == "4"
    prefixed = {
        "eval/loss" if name == "eval_loss" else f"train/{name}": name for name in found.data.metrics
    }
    return {
        new: [(item.step, item.value) for item in client.get_metric_history(run["mlflow"], old)]
        for new, old in prefixed.items()
    }


def trackio(folder, run):
    from trackio.sqlite_storage import SQLiteStorage

    assert list((folder / "trackio").glob("*.db"))
    found = {}
    for row in SQLiteStorage.get_logs(PROJECT, run["name"]):
        for name, value in row.items():
            if name.startswith(("train/", "eval/")) and name != "train/global_step":
                found.setdefault(name, []).append((row["train/global_step"], value))
    return found


READ = {"tensorboard": tensorboard, "mlflow": mlflow, "trackio": trackio}


def note(folder, name):
    return json.loads((folder / "runs" / f"{name}.json").read_text())


@pytest.mark.parametrize("tracker", READ)
def test_training_that_was_killed_goes_on_in_its_run(folder, tracker):
    pytest.importorskip(tracker, reason=REASON)
    name = f"killed-{tracker}"

    def new(key="k"):
        return Tracking([tracker], name, key, {"rank": 4}, folder)

    killed = new()
    killed.begin(0)
    for step in (10, 20, 30):
        killed.log(step, {"loss": 1 / step, "learning_rate": 0.5})
    if tracker == "mlflow":  # the killed process would have left its run open; here it is the same
        module._end_mlflow("FAILED")
    with new() as resumed:
        resumed.begin(20)  # of the last checkpoint
        for step in (30, 40):
            resumed.log(step, {"loss": 1 / step, "learning_rate": 0.5})
        resumed.log(40, {"eval_loss": 2.0})
    found = READ[tracker](folder, note(folder, name))
    steps = [10, 20, 30, 40]
    assert found["train/loss"] == [(step, pytest.approx(1 / step)) for step in steps]
    assert found["train/learning_rate"] == [(step, 0.5) for step in steps]
    assert found["eval/loss"] == [(40, 2.0)]
    assert all(0 < value < 100_000 for _, value in found["train/memory_mb"])
    first = note(folder, name)["name"]
    time.sleep(1.1)  # runs are named by the second
    for other in ({"key": "k"}, {"key": "other"}):
        with new(**other) as again:  # from the start, or of other settings
            again.begin(20 if other["key"] == "other" else 0)
            again.log(10, {"loss": 1.0})
        assert note(folder, name)["name"] != first


def test_pretraining_and_its_trackers(folder, tmp_path):
    """The losses of the curve, both rates and the held-out loss, the same model and samples."""
    for tracker in READ:
        pytest.importorskip(tracker, reason=REASON)
    ids = torch.arange(3000).remainder(97).numpy()
    results = []
    for trackers in ((), tuple(READ)):
        torch.manual_seed(1)
        model = pretraining.base_model(shape(1, 100), context=32, end=0)
        with Tracking(trackers, "pretrain", "k", {"rank": 4}, folder) as told:
            losses, samples, _ = pretraining.train(
                model, pretraining.optimizers(model, 0.01, 0.02, 0.0, "fp32"),
                Rows(ids, 0, 32, "text"), "cpu", Checkpoints(tmp_path / "none", 1e9), told,
                batch_tokens=64, train_tokens=64 * 25, warmup_share=0.1, precision="fp32",
                seed=1, sample=lambda: "text",
            )  # fmt: skip
        results.append((losses, samples, model.state_dict()))
    (losses, samples, plain), (tracked_losses, tracked_samples, tracked) = results
    assert losses == tracked_losses and samples == tracked_samples
    assert all(torch.equal(plain[name], tracked[name]) for name in plain)
    run = note(folder, "pretrain")
    for tracker, read in READ.items():
        found = read(folder, run)
        expected = [(step, pytest.approx(losses[step - 1])) for step in (1, 10, 20, 25)]
        assert found["train/loss"] == expected, tracker
        share = pretraining.rate(9, 25, 0.1)
        assert found["train/learning_rate"][1] == (10, pytest.approx(0.01 * share))
        assert found["train/muon_learning_rate"][1] == (10, pytest.approx(0.02 * share))


def test_adapter_is_the_same_with_trackers(chat_model, folder, tmp_path):
    for tracker in READ:
        pytest.importorskip(tracker, reason=REASON)
    made = []
    for trackers in ((), tuple(READ)):
        (own := tmp_path / str(len(trackers))).mkdir()
        adapter = Adapter(chat_model, own, dropout=0.1)
        with Tracking(trackers, "lora", "k", {"rank": 4}, folder) as told:
            figures = adapter.train(told)
        made.append((figures, adapter.files["adapter"].read_bytes()))
    assert made[0] == made[1]
    losses = [line.split(",") for line in adapter.files["curve"].read_text().splitlines()[1:]]
    expected = [(int(step), pytest.approx(float(loss), abs=1e-4)) for step, loss in losses]
    for tracker, read in READ.items():
        found = read(folder, note(folder, "lora"))
        assert found["train/loss"] == expected, tracker
        assert [step for step, _ in found["train/learning_rate"]] == [step for step, _ in expected]
        assert found["eval/loss"] == [(figures["steps"], pytest.approx(figures["held_out_loss"]))]


def test_all_stays_on_this_machine(folder, monkeypatch, capsys):
    for variable in module.REMOTE:
        monkeypatch.setenv(variable, "https://elsewhere.example")
    pytest.importorskip("tensorboard", reason=REASON)
    with Tracking(["tensorboard"], "local", "k", {}, folder) as told:
        told.begin(0)
        assert not {*module.REMOTE} & {*os.environ}
    said = capsys.readouterr().out
    assert all(variable in said for variable in module.REMOTE)


def test_failing_tracker_costs_no_training(folder, monkeypatch, capsys):
    pytest.importorskip("tensorboard", reason=REASON)

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setitem(module.OPEN, "tensorboard", full)
    with Tracking(["tensorboard"], "failing", "k", {}, folder) as told:
        told.begin(0)
        told.log(10, {"loss": 1.0})
    said = capsys.readouterr().out
    assert (
        said == "tracking: tensorboard failed and gets no more figures: No space left on device\n"
    )


def test_missing_packages_are_named_with_their_command(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as error:
        module.check(["mlflow", "trackio"])
    assert "tracking: found mlflow, trackio" in str(error.value) and INSTALL in str(error.value)
    module.check([])


def test_without_trackers_nothing_is_written(tmp_path):
    with Tracking(folder=tmp_path / "tracking") as told:
        told.begin(0)
        told.log(1, {"loss": 1.0})
    assert not list(tmp_path.iterdir())
