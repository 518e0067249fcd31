"""Prepares the corpus of a dataset: checked, normalised, without duplicates, split."""

BATCH = 1 << 21  # characters whose signatures are computed at a time
# Documents are near-duplicates if they share 80 % of their sequences of five words. The estimate
# has a standard deviation of 4 %, so a limit of 70 % misses hardly any pair.
SIMILAR = 0.7


def prepare_corpus(
    sources, train, validation, train_places, validation_places, stats,
    *, validation_share, seed,
):  # fmt: skip
    """Write the documents that the base model is pretrained on.

    Text is normalised to Unicode's composed form (NFC) with one kind of newline. A long text
    file is cut between paragraphs. Empty documents and exact duplicates are left out.
    Near-duplicates stay, all of a group on one side of the split. A document's side depends on
    its content and the seed, not on the other documents.

    Memory: about 100 bytes for each document, and a batch of text.

    Args:
        sources: files that `specialist.data.corpus.Documents` reads.
        train, validation: JSONL to write, rows with "text" or "messages".
        train_places, validation_places: where each row came from; see `specialist.core.places`.
        stats: JSON to write: "documents" that were found, "empty" and "duplicates" among
            them, "train" and "validation" that are left; "near_duplicates" among these,
            "near_duplicate_groups" and "largest_group" of them; "cut" rows above two million
            characters; and "notes", what was found and not used, with its number.
        validation_share: share of the documents for validation.
        seed: seed of the split.

    Raises:
        UserError: what is wrong with the files, place by place.
    """
    import json

    import numpy as np

    from specialist.core.scratch import scratch
    from specialist.data.corpus import Documents
    from specialist.data.formats import Mistakes
    from specialist.data.near_duplicates import Signatures
    from specialist.data.splitting import first_of_equal, held_out

    where = sources[0].parent if sources else "the corpus"
    with scratch(train) as folder, Mistakes() as mistakes:
        found = Documents(sources, mistakes)
        signatures = Signatures(folder / "signatures")
        checked = folder / "documents.jsonl", folder / "places"
        digests, empty = _collect(found, *checked, signatures, seed)
        mistakes.stop()
        kept = first_of_equal(digests)
        rows = np.flatnonzero(kept)
        groups = signatures.clusters(rows, SIMILAR) if len(rows) > 1 else np.zeros(1, int)
        if not groups.any():
            mistakes.add(where, text=_too_few(len(rows)))
            mistakes.stop()
        sides = np.zeros(len(digests), np.int8)  # 0 for neither
        sides[rows] = 1 + held_out(digests[rows], groups, validation_share)
        for source, *halves in zip(
            checked, (train, train_places), (validation, validation_places), strict=True
        ):
            _write(source, sides, *halves)
    sizes = np.bincount(groups)
    counts = {
        "documents": len(digests) + empty,
        "empty": empty,
        "duplicates": len(digests) - len(rows),
        "train": int((sides == 1).sum()),
        "validation": int((sides == 2).sum()),
        "near_duplicates": int(sizes[sizes > 1].sum()),
        "near_duplicate_groups": int((sizes > 1).sum()),
        "largest_group": int(sizes.max()),
        "cut": found.cut,
        "notes": dict(sorted(mistakes.notes.items())),
    }
    stats.write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("corpus: " + ", ".join(f"{counts[name]} {name}" for name in list(counts)[:-1]))
    for text, number in counts["notes"].items():
        print(f"corpus: {text} ({number} times)")


def _collect(documents, checked, places, signatures, seed):
    """Write non-empty documents as JSONL, with their places and signatures.

    Returns:
        (uint64 array [n, 2], half of a SHA-256 of the seed and each of them; number of empty ones)
    """
    import hashlib
    import json
    from array import array

    import numpy as np

    from specialist.data.corpus import identity, plain

    digests, empty, texts, size = array("B"), 0, [], 0
    seeded = hashlib.sha256(f"{seed}/".encode())
    with open(checked, "wb") as file, open(places, "w", encoding="utf-8") as near:
        for place, document in documents:
            if not (text := plain(document)).strip():
                empty += 1
                continue
            content = identity(document).encode()
            digest = seeded.copy()
            digest.update(content)
            digests.frombytes(digest.digest()[:16])
            if "messages" in document:  # written with their keys in the order they had
                content = json.dumps(document, ensure_ascii=False).encode()
            file.write(content + b"\n")
            near.write(f"{place}\n")
            texts.append(text)
            size += len(text)
            if size > BATCH:
                signatures.add(texts)
                texts, size = [], 0
    if texts:
        signatures.add(texts)
    # The first eight bytes, read as a number, are a document's rank.
    return np.frombuffer(digests, ">u8").astype(np.uint64).reshape(-1, 2), empty


def _too_few(count):
    if count > 1:
        return (
            f"found {count} rows, all near-duplicates of one another, expected at least two "
            "different ones; add data"
        )
    found = f"found {count} different row{'s' * (count != 1)} with text"
    return f"{found}, expected at least two; add data"


def _write(source, sides, train, validation):
    with (
        open(source, "rb") as lines,
        open(train, "wb") as first,
        open(validation, "wb") as second,
    ):
        for line, side in zip(lines, sides.tolist(), strict=True):
            if side:
                (first if side == 1 else second).write(line)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(prepare_corpus, snakemake)
