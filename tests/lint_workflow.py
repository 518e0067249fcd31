"""Runs `snakemake --lint`, and fails on all it finds but one thing.

Snakemake asks for a conda environment or container in each rule. Here the software of each concern
is pinned in envs/*.txt, installed by `make`, and counted in each rule's `code` parameter.
"""

import re
import subprocess
import sys

ANSWERED = "Specify a conda environment or container for each rule."


def main():
    """Print the findings; exit status 1 if there are any, or if the workflow cannot be read."""
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], capture_output=True, text=True
    )
    text = run.stdout + run.stderr
    titles = re.findall(r"^ +\* (.+):$", text, flags=re.MULTILINE)
    if run.returncode and not titles or any(title != ANSWERED for title in titles):
        sys.exit(text)
    print(f"snakemake --lint: nothing but {len(titles)} times '{ANSWERED}'")


if __name__ == "__main__":
    main()
