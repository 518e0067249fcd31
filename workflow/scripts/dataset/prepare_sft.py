"""Prepares the training conversations of a dataset: checked, of one form, split."""

FEW = 0.9  # share of turns in the agent's form below which a warning is shown


def prepare_sft(sources, train, validation, stats, *, columns, validation_share, seed):
    """Write conversations as {"messages": [{"role", "content"}]}.

    A row has "messages"; or ShareGPT's "conversations" of {"from", "value"}; or Alpaca's
    "instruction", perhaps "input" and "history", and "output"; or "prompt" and "completion".
    Each may have "system". The turns of the assistant come out in the agent's protocol
    (`specialist.agent.react`): a plain reply is an answer, a tool call an action. A turn
    without loss keeps "weight": 0.

    Args:
        sources: files that `specialist.data.reading.rows` reads.
        train, validation: JSONL to write.
        stats: JSON to write: "rows" that were found, "duplicates" among them, "train" and
            "validation" that are left, "assistant_turns" in them; of all rows "turns" of the
            assistant, "readable" ones that the agent reads as they were, and "converted", by
            what was changed; and "notes", what was found and not used, with its number.
        columns: {field of a row: what it is called in the files}.
        validation_share: share of the conversations for validation.
        seed: seed of the split.

    Raises:
        UserError: what is wrong with the files, place by place.
    """
    import json

    from specialist.core.text import write_rows
    from specialist.data.conversations import Conversations
    from specialist.data.formats import Mistakes, split
    from specialist.data.reading import rows

    with Mistakes() as mistakes:
        reader = Conversations(mistakes)
        found = [
            {"messages": messages}
            for path in sorted(sources)
            for place, row in rows(path, mistakes, columns)
            if (messages := reader.read(row, place))
        ]
        mistakes.stop()
        where = sources[0] if sources else "the training data"
        parts = split(found, validation_share, seed, mistakes, where)
    for path, part in zip((train, validation), parts, strict=True):
        write_rows(path, part)
    roles = [turn["role"] for part in parts for row in part for turn in row["messages"]]
    counts = {
        "rows": len(found),
        "duplicates": len(found) - sum(map(len, parts)),
        "train": len(parts[0]),
        "validation": len(parts[1]),
        "assistant_turns": roles.count("assistant"),
        "turns": reader.turns["turns"],
        "readable": reader.turns["readable"],
        "converted": dict(sorted(reader.converted.items())),
        "notes": dict(sorted(mistakes.notes.items())),
    }
    stats.write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("sft: " + ", ".join(f"{value} {key}" for key, value in [*counts.items()][:5]))
    _show(counts)


def _show(counts):
    """Print what was converted, and what was not used."""
    turns, readable = counts["turns"], counts["readable"]
    print(f"sft: the agent reads {readable} of {turns} turns of the assistant as they were")
    if readable < FEW * turns:
        print(
            "sft: WARNING: few turns are in the agent's form, `Thought: ...` and then "
            "`Action: ...` or `Answer: ...`; check how the others were converted"
        )
    for name in ("converted", "notes"):
        for text, number in counts[name].items():
            print(f"sft: {'converted ' * (name == 'converted')}{text} ({number} times)")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(prepare_sft, snakemake)
