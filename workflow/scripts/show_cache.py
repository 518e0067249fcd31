"""Shows what the cache holds: `python workflow/scripts/show_cache.py [--prune GB]`.

--prune removes the least recently used entries until the cache has at most that size; 0 empties
it. config/config.yaml names the folder of the cache.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path

import yaml

from specialist.config.load import load
from specialist.engine.cache import Cache

CONFIG = Path(__file__).resolve().parents[2] / "config" / "config.yaml"


def show(cache):
    """One line for each rule: entries, size, days since the last use, seconds that they took."""
    rules = defaultdict(lambda: [0, 0, 0.0, 0.0])
    for _, used, size, rule, _, seconds in cache.rows():
        entry = rules[rule]
        entry[0] += 1
        entry[1] += size
        entry[2] = max(entry[2], used)
        entry[3] += seconds
    print(f"{cache.folder}, at most {cache.limit / 1e9:g} GB")
    print(f"{'rule':32}{'entries':>8}{'MB':>10}{'days unused':>13}{'seconds saved':>15}")
    for rule, (count, size, used, seconds) in sorted(rules.items()):
        days = (time.time() - used) / 86400
        print(f"{rule:32}{count:8}{size / 1e6:10.1f}{days:13.1f}{seconds:15.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prune", type=float, metavar="GB", help="shrink the cache to this size")
    arguments = parser.parse_args()
    found = Cache(**load(yaml.safe_load(CONFIG.read_text(encoding="utf-8")))["cache"])
    if arguments.prune is not None:
        print(f"removed {found.prune(arguments.prune * 1e9) / 1e6:.1f} MB")
    show(found)
