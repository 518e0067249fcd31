"""Prepares the training conversations of a dataset: checked, of one form, split."""

FEW = 0.9  # share of turns in the agent's form below which a warning is shown


def prepare_sft(
    sources, train, validation, train_places, validation_places, stats,
    *, columns, validation_share, seed,
):  # fmt: skip
    """Write conversations as {"messages": [{"role", "content"}]}.

    A row has "messages"; or ShareGPT's "conversations" of {"from", "value"}; or Alpaca's
    "instruction", perhaps "input" and "history", and "output"; or "prompt" and "completion".
    Each may have "system". The turns of the assistant come out in the agent's protocol
    (`specialist.agent.react`): a plain reply is an answer, a tool call an action. A turn
    without loss keeps "weight": 0.

    Args:
        sources: files that `specialist.data.reading.rows` reads.
        train, validation: JSONL to write.
        train_places, validation_places: where each row came from; see `specialist.core.places`.
        stats: JSON to write: "rows" that were found, "duplicates" among them, "train" and
            "validation" that are left, "assistant_turns" in them; of all rows "turns" of the
            assistant, "readable" ones that the agent reads as they were, and "converted", by
            what was changed; and "notes", what was found and not used, with its number.
        columns: {field of a row: its name in the files}.
        validation_share: share of the conversations for validation.
        seed: seed of the split.

    Raises:
        UserError: what is wrong with the files, place by place.
    """
    import json

    from specialist.data.conversations import Conversations
    from specialist.data.formats import Mistakes
    from specialist.data.halves import write_split
    from specialist.data.reading import rows

    def conversations():
        for path in sorted(sources):
            for place, row in rows(path, mistakes, columns):
                if messages := reader.read(row, place):
                    yield place, {"messages": messages}

    with Mistakes() as mistakes:
        reader = Conversations(mistakes)
        counts = write_split(
            conversations(),
            [(train, train_places), (validation, validation_places)],
            share=validation_share,
            seed=seed,
            mistakes=mistakes,
            where=sources[0] if sources else "the training data",
            size=lambda row: sum(turn["role"] == "assistant" for turn in row["messages"]),
        )
    counts |= {
        "assistant_turns": counts.pop("size"),
        "turns": reader.turns["turns"],
        "readable": reader.turns["readable"],
        "converted": dict(sorted(reader.converted.items())),
        "notes": dict(sorted(mistakes.notes.items())),
    }
    stats.write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("sft: " + ", ".join(f"{value} {key}" for key, value in [*counts.items()][:5]))
    _show(counts)


def _show(counts):
    """Print what was converted and what was ignored."""
    turns, readable = counts["turns"], counts["readable"]
    print(f"sft: {readable} of {turns} turns of the assistant had the agent's form already")
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
