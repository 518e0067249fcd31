"""One run at a time; a killed one is no hindrance."""

import subprocess
import sys

import pytest

from specialist.core.errors import UserError
from specialist.engine.lock import hold

HOLD = "import sys; from specialist.engine.lock import hold; hold(sys.argv[1]); "
HOLD += "print('held', flush=True); sys.stdin.read()"


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path, pytestconfig):
    path = tmp_path / "run.lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=pytestconfig.rootpath / "workflow/scripts",
    )
    with other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=f"another run works in .* .process {other.pid} on "):
            hold(path)
        other.kill()
    hold(path)
