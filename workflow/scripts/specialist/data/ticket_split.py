"""Divides threads of tickets: most are for the corpus, some are held out."""

import hashlib

from specialist.data.leakage import Overlap
from specialist.data.near_duplicates import Signatures
from specialist.data.splitting import held_out
from specialist.data.threads import CUSTOMER, words

BATCH = 1 << 21  # characters whose signatures are computed at a time
TELLING = 8  # words from which the first message of a customer decides what is alike


def different(threads):
    """The threads without those whose text equals an earlier one."""
    return list({thread.text: thread for thread in reversed(threads)}.values())[::-1]


def divide(threads, path, similar, share, seed):
    """Which threads are held out.

    Args:
        threads: list of `specialist.data.threads.Thread`, all different.
        path: file to write signatures to.
        similar: similarity from which two texts are near-duplicates.
        share: of the threads that is held out.
        seed: of the split.

    Returns:
        (bool list [n], number of threads that are similar to another thread)
    """
    import numpy as np

    groups = _groups(threads, path, similar)
    sizes = np.bincount(groups)
    alike = int(sizes[sizes > 1].sum())
    usable = np.array([thread.opening is not None for thread in threads])
    # A group with a thread that no customer wrote in stays in the corpus.
    usable &= ~np.isin(groups, groups[~usable])
    rows = np.flatnonzero(usable)
    chosen = np.zeros(len(threads), bool)
    if share and len(np.unique(groups[rows])) > 1:
        names = [f"{seed}/{threads[row].messages[0].text}".encode() for row in rows]
        halves = b"".join(hashlib.sha256(name).digest()[:16] for name in names)
        digests = np.frombuffer(halves, ">u8").astype(np.uint64).reshape(-1, 2)
        chosen[rows] = held_out(digests, groups[rows], share)
    return chosen.tolist(), alike


def _groups(threads, path, similar):
    """Number of the group of near-duplicates of each thread, int [n]."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    texts, owners = [], []
    for number, thread in enumerate(threads):
        texts.append(thread.text)
        owners.append(number)
        if thread.opening and len(words(thread.opening)) >= TELLING:
            texts.append(thread.opening)
            owners.append(number)
    signatures = Signatures(path)
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size > BATCH:
            signatures.add(batch)
            batch, size = [], 0
    if batch:
        signatures.add(batch)
    found = signatures.clusters(np.arange(len(texts)), similar)
    nodes = len(threads) + int(found.max()) + 1  # a thread, and the groups of its texts
    edges = np.array(owners), found + len(threads)
    graph = coo_array((np.ones(len(owners), bool), edges), shape=(nodes, nodes))
    joined = connected_components(graph, directed=False)[1][: len(threads)]
    return np.unique(joined, return_inverse=True)[1]


def unshared(threads, training, run_words):
    """The held-out threads whose first message shares no text with the corpus, each with its id.

    Args:
        threads: held-out `Thread`s.
        training: `Thread`s of the corpus.
        run_words: words in a row that two texts must not share.

    Returns:
        list of (id, `Thread`); the hash of the message is the id, and each message comes once.
    """
    named = {_id(thread.opening): thread for thread in reversed(threads)}
    tasks = [
        {"id": name, "entities": [], "message": thread.opening} for name, thread in named.items()
    ]
    overlap, said, shared = Overlap(tasks, run_words), set(), set()
    for thread in training:
        shared |= {leak["task"] for leak in overlap.of({"text": thread.text})}
        pairs = zip(thread.messages, thread.roles, strict=True)
        said |= {tuple(words(message.text)) for message, role in pairs if role == CUSTOMER}
        said.add(tuple(words(thread.opening or "")))
    pairs = [(name, thread) for name, thread in reversed(named.items()) if name not in shared]
    return [(name, thread) for name, thread in pairs if tuple(words(thread.opening)) not in said]


def _id(text):
    return f"ticket-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
