"""Which documents are held out, by their content and a seed alone."""

LARGE = 10  # groups that fill the share are the largest that may be held out


def first_of_equal(digests):
    """Which rows equal no earlier one, bool [n].

    Args:
        digests: uint64 array [n, 2].
    """
    import numpy as np

    order = np.lexsort((digests[:, 1], digests[:, 0]))
    new = np.ones(len(digests), bool)
    new[1:] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
    found = np.zeros(len(digests), bool)
    found[order[new]] = True
    return found


def held_out(digests, groups, share):
    """Which documents are for validation, bool [n]; a group of near-duplicates stays together.

    The digest of one document decides the side of its group. A new document therefore moves no
    other document, and hardly ever its own near-duplicates. A group larger than a tenth of the
    share is for training: held out, it would outweigh the rest. Each side has at least one group.

    Args:
        digests: uint64 array [n, 2] of documents that differ, evenly distributed.
        groups: int array [n], the number of each document's group; at least two groups.
        share: share of the documents for validation, from 0 to 1.
    """
    import numpy as np

    # Other bits choose the deciding document of a group than those that decide the side.
    order = np.lexsort((digests[:, 1], groups))
    first = np.ones(len(order), bool)
    first[1:] = groups[order[1:]] != groups[order[:-1]]
    starts = np.flatnonzero(first)
    sizes = np.diff(starts, append=len(order))
    ranks = digests[order[starts], 0] / 2.0**64
    large = sizes > max(1, share * len(digests) / LARGE)
    chosen = (ranks <= share) & ~large
    if not chosen.any():
        chosen[np.lexsort((ranks, sizes * large))[0]] = True
    elif chosen.all():
        chosen[ranks.argmax()] = False
    found = np.empty(len(order), bool)
    found[order] = np.repeat(chosen, sizes)
    return found
