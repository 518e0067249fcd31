"""Checks a finished result: `python tests/check_result.py results/agent_eval.json`.

Its form must be that of the schema, every gate passed, and the headline system good enough.
"""

import json
import sys
from pathlib import Path

from jsonschema import Draft202012Validator

SCHEMA = Path(__file__).parent.parent / "workflow" / "schemas" / "agent_eval.schema.json"
FLOOR = 0.85


def problems(result):
    """What is wrong with a result, one line each; nothing else is checked if its form is wrong."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    found = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(result)
    ]
    if found:
        return found
    found = [
        f"gate {name} failed: {gate['value']} (limit {gate['limit']})"
        for name, gate in result["gates"].items()
        if not gate["passed"]
    ]
    headline = result["headline"]
    if headline["success_rate"] < FLOOR:
        found.append(f"{headline['system']} solves {headline['success_rate']:.3f}, below {FLOOR}")
    return found


if __name__ == "__main__":
    result = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if found := problems(result):
        sys.exit("\n".join(found))
    headline = result["headline"]
    print(f"{sys.argv[1]}: {headline['system']} solves {headline['success_rate']:.3f}; all is well")
