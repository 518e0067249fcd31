"""Checks the hashes of everything behind a result: `python workflow/scripts/verify.py [FILE]`.

Exit status 1 if a file is missing or is not what its step wrote. Nothing is made or changed.
"""

import argparse
import sys

from specialist.engine import records
from specialist.engine.verify import follow, mend, step


def show(chain):
    """One line per file that a step wrote, from the dataset to the result."""
    folders = {}
    for path in chain.sources:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    for folder, paths in sorted(folders.items()):
        print(f"{folder}/  {len(paths)} file{'s' if len(paths) > 1 else ''}")
    for record in chain.steps:
        how = "restored; computed in" if record.get("restored") else "computed in"
        print(f"{step(record)}: {how} {records.duration(records.seconds(record))}")
        for path, digest in record["outputs"].items():
            print(f"    {digest[:12]} {record.get('bytes', {}).get(path, '?'):>12}  {path}")


def main(target):
    """Print the problems of a file's chain, or the chain; return the exit status."""
    chain = follow(target)
    for path, wrong in chain.damaged.items():
        print(f"{path} is damaged ({wrong}), so it does not show which step wrote it")
    if chain.problems:
        print(f"{len(chain.problems)} problem(s) behind {target}:")
        print(*(f"  {problem}" for problem in chain.problems), sep="\n")
        print("To repair it, run (with the --configfile and --config of the run):")
        print(*(f"  {command}" for command in mend(chain)), sep="\n")
    else:
        show(chain)
        files = sum(len(record["outputs"]) for record in chain.steps)
        print(f"{target}: {len(chain.steps)} steps, {files} files, each as its step wrote it")
    if chain.since:
        print("Changed since, so a new run may give another result (make plan):")
        print(*(f"  {text}" for text in chain.since), sep="\n")
    return 1 if chain.problems else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", default="results/agent_eval.json")
    sys.exit(main(parser.parse_args().file))
