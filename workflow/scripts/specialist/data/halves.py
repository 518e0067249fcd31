"""Splits a stream of rows into two files by a hash; memory holds 16 bytes per row."""

import contextlib
import hashlib
import json
import os

from specialist.core.scratch import scratch


def write_split(found, halves, *, share, seed, mistakes, where, size=lambda row: 1):
    """Write distinct rows for training and for validation, in their order, and their places.

    A hash of the row decides its side, so a new row moves no other row. Each side has at least
    one row.

    Args:
        found: iterable of (place, row); a row that equals an earlier one is left out.
        halves: two pairs (JSONL to write, file of its places to write): training, validation.
        share: share of the rows for validation, from 0 to 1.
        seed: seed of the split.
        mistakes: `specialist.data.formats.Mistakes`; nothing is written if there are any.
        where: place of a mistake in the data as a whole.
        size: function of a row, summed over the distinct ones.

    Returns:
        {"rows": that were found, "duplicates": left out of them, "train", "validation", "size"}.
    """
    seen, rows, total, ranks = set(), 0, 0, ([], [])
    with scratch(halves[0][0]) as folder:
        names = [[folder / f"{kind}{side}" for kind in ("rows", "places")] for side in (0, 1)]
        with contextlib.ExitStack() as stack:
            files = [
                [stack.enter_context(open(name, "w", encoding="utf-8")) for name in pair]
                for pair in names
            ]
            for place, row in found:
                rows += 1
                text = json.dumps(row, ensure_ascii=False, sort_keys=True)
                digest = hashlib.sha256(f"{seed}/{text}".encode()).digest()
                if digest[:16] in seen:
                    continue
                seen.add(digest[:16])
                total += size(row)
                rank = int.from_bytes(digest[:8]) / 2**64
                side = int(rank <= share)
                ranks[side].append(rank)
                files[side][0].write(json.dumps(row, ensure_ascii=False) + "\n")
                files[side][1].write(f"{place}\n")
        mistakes.stop()
        if len(seen) < 2:
            count = f"found {len(seen)} different row{'s' * (len(seen) != 1)} with text"
            mistakes.add(where, text=f"{count}, expected at least two; add data")
            mistakes.stop()
        counts = [len(side) for side in ranks]
        for empty, choose in ((1, min), (0, max)):
            if not ranks[empty]:
                other = ranks[1 - empty]
                number = other.index(choose(other))
                for source, target in zip(names[1 - empty], names[empty], strict=True):
                    _move(source, target, number)
                counts = [len(seen) - 1, 1] if empty else [1, len(seen) - 1]
        for made, target in zip([*names[0], *names[1]], [*halves[0], *halves[1]], strict=True):
            os.replace(made, target)
    return {
        "rows": rows,
        "duplicates": rows - len(seen),
        "train": counts[0],
        "validation": counts[1],
        "size": total,
    }


def _move(source, target, number):
    """Move one line of a file, by its number from 0, into another file."""
    kept = source.with_name("kept")
    with open(source, "rb") as lines, open(kept, "wb") as rest, open(target, "wb") as moved:
        for place, line in enumerate(lines):
            (moved if place == number else rest).write(line)
    os.replace(kept, source)
