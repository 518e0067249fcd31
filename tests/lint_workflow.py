"""Runs `snakemake --lint`, and fails on all it finds but one thing.

Snakemake asks for a conda environment or container in each rule. Here the software of each concern
is pinned in envs/*.txt, installed by `make`, and counted in each rule's `code` parameter.
"""

import json
import subprocess
import sys

ANSWERED = "Specify a conda environment or container for each rule."


def main():
    """Print the findings; exit status 1 if there are any."""
    command = [sys.executable, "-m", "snakemake", "--lint", "json"]
    run = subprocess.run(command, capture_output=True, text=True)
    if not run.stdout.strip():
        sys.exit(run.stderr if run.returncode else 0)
    report = json.loads(run.stdout)
    places = [report["global"], *report["rules"]]
    found = [
        f"{place.get('for', {}).get('rule', place.get('for', 'workflow'))}: {lint['title']}\n{lint['body']}"
        for place in places
        for lint in place.get("lints", [])
        if lint["title"] != ANSWERED
    ]
    print("\n".join(found) or "snakemake --lint: nothing found")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
