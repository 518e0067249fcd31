"""The engine's version follows the code that decides what a step receives."""

import hashlib

from specialist.engine import digest, version

CONTRACT = ("contract.py", "checkpoints.py")


def test_version_follows_the_contract():
    pieces = [digest._read(digest.ENGINE / name)[0] for name in CONTRACT]
    found = hashlib.sha256(repr([sorted(each.items()) for each in pieces]).encode()).hexdigest()[
        :16
    ]
    assert found == version.CONTRACT, (
        f"{' or '.join(CONTRACT)} changed. If a step now receives something else, raise VERSION in "
        f"specialist/engine/version.py, and all steps run again. Then set CONTRACT to {found!r}."
    )
