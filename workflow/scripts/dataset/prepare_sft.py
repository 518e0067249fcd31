"""Prepares the training conversations of a dataset: checked, of one form, split."""

import json

from specialist.core.schema_errors import near
from specialist.data.formats import (
    Mistakes,
    check_messages,
    message_turns,
    split,
)
from specialist.data.reading import rows as read

SHAREGPT_ROLES = {"human": "user", "gpt": "assistant", "function": "tool", "observation": "tool"}
FORMS = "messages, conversations, instruction and output, or prompt and completion"
FIELDS = ("messages", "conversations", "instruction", "output", "prompt", "completion")


def prepare_sft(sources, train, validation, stats, *, columns, validation_share, seed):
    """Write conversations as {"messages": [{"role", "content"}]}.

    A row has "messages"; or ShareGPT's "conversations" of {"from", "value"}; or Alpaca's
    "instruction", perhaps "input", and "output"; or "prompt" and "completion". The last two
    may have "system".

    Args:
        sources: *.jsonl, *.csv (UTF-8, with a header) and *.parquet.
        train, validation: JSONL to write.
        stats: JSON to write: "rows" that were found, "duplicates" among them, "train" and
            "validation" that are left, and "assistant_turns" in them.
        columns: {field of a row: what it is called in the files}.
        validation_share: share of the conversations for validation.
        seed: seed of the split.

    Raises:
        UserError: what is wrong with the files, place by place.
    """
    from specialist.core.text import write_rows

    with Mistakes() as mistakes:
        found = list(_conversations(sources, columns, mistakes))
        mistakes.stop()
        where = sources[0] if sources else "the training data"
        parts = split(found, validation_share, seed, mistakes, where)
    for path, rows in zip((train, validation), parts, strict=True):
        write_rows(path, rows)
    turns = [turn["role"] for rows in parts for row in rows for turn in row["messages"]]
    counts = {
        "rows": len(found),
        "duplicates": len(found) - sum(map(len, parts)),
        "train": len(parts[0]),
        "validation": len(parts[1]),
        "assistant_turns": turns.count("assistant"),
    }
    stats.write_text(json.dumps(counts, indent=1) + "\n")
    print(f"sft: {counts}")


def _conversations(sources, columns, mistakes):
    for path in sorted(sources):
        for place, row in read(path, mistakes, columns):
            turns = _turns(row, mistakes, place)
            if turns is not None and (messages := check_messages(turns, mistakes, place)):
                yield {"messages": messages}


def _turns(row, mistakes, place):
    """What `check_messages` takes, from a row of any form, or None."""
    for name in ("messages", "conversations"):
        if isinstance(row.get(name), str):  # a cell of a CSV file
            try:
                row[name] = json.loads(row[name])
            except (ValueError, RecursionError) as error:
                mistakes.add(place, name, text=f"found no JSON ({error}), expected a list")
                return None
    if row.get("messages") is not None:
        return message_turns(row["messages"], mistakes, place)
    if row.get("conversations") is not None:
        turns = message_turns(
            row["conversations"], mistakes, place, "conversations", "from", "value"
        )
        return turns and [
            (path, SHAREGPT_ROLES.get(str(role), role), *rest) for path, role, *rest in turns
        ]
    system = [(("system",), "system", ("system",), row["system"])] if row.get("system") else []
    for asked, answered in (("instruction", "output"), ("prompt", "completion")):
        if asked in row:
            question, answer = row[asked], row.get(answered)
            if isinstance(question, list):  # both sides as messages
                turns = [
                    message_turns(value, mistakes, place, name)
                    for name, value in ((asked, question), (answered, answer))
                ]
                return None if None in turns else system + turns[0] + turns[1]
            if isinstance(question, str) and (more := row.get("input")):
                question = f"{question}\n\n{more}"
            user = ((asked,), "user", (asked,), question)
            return [*system, user, ((answered,), "assistant", (answered,), answer)]
    hints = [hint for key in row if (hint := near(key, FIELDS))]
    found = ", ".join(row) or "no fields"
    mistakes.add(
        place, text=f"found {found}, expected {FORMS}, or `columns` in config{''.join(hints[:1])}"
    )
    return None


if "snakemake" in globals():
    from specialist.engine.step import run

    run(prepare_sft, snakemake)
