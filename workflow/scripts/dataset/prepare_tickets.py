"""Turns a folder of tickets into documents for the corpus and held-out messages of customers."""

RUN_WORDS = 8  # as in audit_leakage
SIMILAR = 0.7  # as in prepare_corpus
SHOWN = 20  # places that the log names


def prepare_tickets(
    sources, corpus, held_out, places, stats, *, columns, agents, share, unreadable, seed,
):  # fmt: skip
    """Write the threads of tickets: most for the corpus, of some the first message of the customer.

    A thread is on one side of the split, and so are near-duplicates: threads whose whole text or
    first message is alike. The first message and the seed decide the side, so a new ticket moves
    no other one. A held-out message that shares eight consecutive words with the corpus, or is
    equal to a message there, is left out of both.

    Args:
        sources: files that `specialist.data.tickets.Tickets` reads.
        corpus: JSONL to write, rows with "text".
        held_out: JSONL to write, rows with "id", "kind", "message": tasks without `expect`.
        places: where each held-out message came from, one on each line.
        stats: JSON to write: "messages", "repeated" mails among them; "threads", "duplicates"
            among them, "corpus" and "held_out"; "shared" messages left out; "near_duplicates" on
            one side with another thread; "without_customer" threads; "empty" messages; "skipped"
            tickets; and "notes", what was left out or repaired, with its number.
        columns: {field: its name in the files}.
        agents: names, addresses or @domains of those who answer.
        share: share of the threads that is held out, from 0 to 1; 0 for none.
        unreadable: "refuse" or "skip" mails and texts that cannot be read.
        seed: seed of the split.

    Raises:
        UserError: what is wrong with the files, place by place.
    """
    import json

    from specialist.core.scratch import scratch
    from specialist.core.text import write_rows
    from specialist.data.formats import Mistakes
    from specialist.data.threads import together
    from specialist.data.ticket_split import different, divide, unshared
    from specialist.data.tickets import Tickets

    where = sources[0].parent if sources else "the tickets"
    with scratch(corpus) as folder, Mistakes() as mistakes:
        found = Tickets(sources, mistakes, columns, unreadable == "skip")
        messages = list(found)
        mistakes.stop()
        threads = together(messages, agents)
        kept = different(threads)
        if not kept:
            mistakes.add(where, text="found no ticket with text, expected at least one; add data")
            mistakes.stop()
        chosen, alike = divide(kept, folder / "signatures", SIMILAR, share, seed)
        training = [thread for thread, out in zip(kept, chosen, strict=True) if not out]
        others = [thread for thread, out in zip(kept, chosen, strict=True) if out]
        apart = unshared(others, training, RUN_WORDS)
        if others and not apart:
            mistakes.add(where, text=_all_shared(len(others)))
    write_rows(corpus, ({"text": thread.text} for thread in training))
    write_rows(held_out, ({"id": name, "kind": "ticket", "message": thread.opening}
                          for name, thread in apart))  # fmt: skip
    places.write_text("".join(f"{thread.messages[0].place}\n" for _, thread in apart), "utf-8")
    counts = {
        "messages": len(messages),
        "repeated": len(messages) - sum(len(thread.messages) for thread in threads),
        "threads": len(threads),
        "duplicates": len(threads) - len(kept),
        "corpus": len(training),
        "held_out": len(apart),
        "shared": len(others) - len(apart),
        "near_duplicates": alike,
        "without_customer": sum(thread.opening is None for thread in kept),
        "empty": len(found.empty),
        "skipped": len(found.skipped),
        "notes": dict(sorted(mistakes.notes.items())),
    }
    stats.write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _show(counts, found)


def _all_shared(count):
    return (
        f"all {count} held-out messages share eight consecutive words with the corpus, expected "
        "messages of their own; remove texts that every message holds, such as those of a form, "
        "or set tickets.held_out to 0"
    )


def _show(counts, found):
    """Print the counts, and name what has no text or cannot be read."""
    print("tickets: " + ", ".join(f"{value} {key}" for key, value in [*counts.items()][:-1]))
    for text, number in counts["notes"].items():
        print(f"tickets: {text} ({number} times)")
    named = {"left out": found.skipped, "has no text, left out": found.empty}
    for words, places in named.items():
        for place in places[:SHOWN]:
            print(f"tickets: {words}: {place}")
        if len(places) > SHOWN:
            print(f"tickets: {words}: {len(places) - SHOWN} more")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(prepare_tickets, snakemake)
