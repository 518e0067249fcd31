"""What the user forces."""

import pytest
from snakemake.settings.types import DAGSettings

from specialist.engine import forced

QUANTIZE = ("quantize", ["results/d/gguf/small/Q8_0.gguf"])
CASES = {
    "nothing": (DAGSettings(), False),
    "all": (DAGSettings(forceall=True), True),
    "its rule": (DAGSettings(forcerun={"quantize"}), True),
    "another rule": (DAGSettings(forcerun={"pretrain"}), False),
    "its file": (DAGSettings(forcerun={"./results/d/gguf/small/Q8_0.gguf"}), True),
    "target": (DAGSettings(forcetargets=True, targets={QUANTIZE[1][0]}), True),
    "another target": (DAGSettings(forcetargets=True, targets={"results/x"}), False),
    "target that is not forced": (DAGSettings(targets={QUANTIZE[1][0]}), False),
}


@pytest.mark.parametrize(("settings", "expected"), CASES.values(), ids=CASES)
def test_selection(monkeypatch, settings, expected):
    monkeypatch.setenv(forced.VARIABLE, "")
    assert forced.announced() == []
    forced.announce(forced.selection(settings))
    assert forced.is_forced(forced.announced(), *QUANTIZE) is expected
