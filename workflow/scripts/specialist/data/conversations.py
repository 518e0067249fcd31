"""Reads rows of training data, in the forms of public sets, as conversations."""

import difflib
import json
import re
from collections import Counter

from specialist.data.formats import check_text
from specialist.data.json_rows import parse_json
from specialist.data.messages import (
    MEDIA,
    REASONING,
    REFUSED,
    WEIGHTS,
    Turn,
    check_messages,
    is_empty,
    message_turns,
    refusal,
)
from specialist.data.turns import in_protocol, is_readable

LISTS = ("messages", "conversations")
PAIRS = (("instruction", "output"), ("prompt", "completion"))
FORMS = "messages, conversations, instruction and output, or prompt and completion"
FIELDS = ("messages", "conversations", "instruction", "output", "prompt", "completion")
REFUSED_IN_ROWS = {
    **REFUSED,
    **dict.fromkeys(MEDIA, "only text is read; remove the key or the row"),
    **dict.fromkeys(
        ("system_prompt", "system_message"),
        "call the key `system`, or map it with `columns` of the dataset in config",
    ),
    **dict.fromkeys(REASONING, "write it as `Thought: ...` before the answer"),
    **dict.fromkeys(
        ("chosen", "rejected", "rejected_response"),
        "a row of preferences belongs in preferences.jsonl",
    ),
}


class Conversations:
    """Reads rows as conversations with turns that the agent could write.

    Attributes:
        turns: {"turns": assistant turns, "readable": those that the agent reads as they were}.
        converted: {what was converted: number of turns}.
    """

    def __init__(self, mistakes):
        self._mistakes, self._shown = mistakes, set()
        self.turns, self.converted = Counter(), Counter()

    def read(self, row, place):
        """The messages of a row: list of {"role", "content", perhaps "weight": 0}, or None."""
        turns = self._turns(row, place)
        if turns is None:
            return None
        for turn in turns:
            self.convert(turn, place)
        messages = check_messages(turns, self._mistakes, place)
        said = [turn for turn in messages or () if turn["role"] == "assistant"]
        if said and not any(turn.get("weight", 1) for turn in said):
            found = "found weight 0 on all turns of the assistant, expected one with loss"
            self._mistakes.add(place, text=f"{found}; remove the row")
        return messages

    def convert(self, turn, place, strict=True):
        """Convert a turn of the assistant to the agent's protocol, in place.

        Args:
            strict: whether a turn that cannot be converted is a mistake; otherwise it stays.

        Returns:
            what was changed in it, or nothing.
        """
        text, made = turn.content if isinstance(turn.content, str) else "", turn.converted
        if turn.role != "assistant" or not text.strip():
            return ""  # `check_messages` refuses the empty ones
        self.turns["turns"] += 1
        if not made:
            self.turns["readable"] += is_readable(text)
            try:
                turn.content, made = in_protocol(text)
            except ValueError as error:
                if strict:
                    found = f"{error}; the agent cannot write this turn"
                    self._mistakes.add(place, *turn.path, text=found)
        self.converted.update([made] if made else [])
        return made

    def _turns(self, row, place):
        """List of Turn from a row of any form, or None."""
        before = len(self._mistakes.found)
        for name in (*LISTS, "history"):
            if isinstance(row.get(name), str) and row[name].strip():  # a cell of a CSV file
                try:
                    row = {**row, name: parse_json(row[name])}
                except (ValueError, RecursionError) as error:
                    text = f"found no JSON ({error}), expected a list"
                    return self._mistakes.add(place, name, text=text)
        name = next((name for name in LISTS if row.get(name) is not None), None)
        if name:
            turns, read = message_turns(row[name], self._mistakes, place, name), [name, "system"]
        elif pair := _pair(row):
            turns, read = self._asked(row, place, *pair), [*pair, "system", "input", "history"]
        else:
            return self._unknown(row, place)
        self._read_keys(row, read, place)
        if turns is None or len(self._mistakes.found) > before:
            return None
        return self._led(row, turns, place)

    def _led(self, row, turns, place):
        """Turns after the row's own system message, if it has one."""
        if is_empty(row.get("system")):
            return turns
        if turns and turns[0].role == "system":
            found = "found a system message beside the one in the messages, expected one"
            return self._mistakes.add(place, "system", text=f"{found}; remove one")
        return [Turn(("system",), "system", ("system",), row["system"]), *turns]

    def _asked(self, row, place, asked, answered):
        """Turns of a row with a question and an answer."""
        question, answer = row.get(asked), row.get(answered)
        if isinstance(question, list):  # both sides as messages
            sides = [
                message_turns(value, self._mistakes, place, name)
                for name, value in ((asked, question), (answered, answer))
            ]
            turns = None if None in sides else sides[0] + sides[1]
        else:
            more = row.get("input")
            if not is_empty(more):
                more = check_text(more, self._mistakes, place, "input")
                if isinstance(question, str) and more and more.strip():
                    question = f"{question}\n\n{more}" if question.strip() else more
            turns = [
                Turn((asked,), "user", (asked,), question),
                Turn((answered,), "assistant", (answered,), answer),
            ]
        return turns and [*self._earlier(row.get("history"), place), *turns]

    def _earlier(self, history, place):
        """Turns of Alpaca's history: pairs of a question and its answer."""
        if is_empty(history):
            return
        pairs = history if isinstance(history, list) else [history]
        for number, pair in enumerate(pairs):
            if not isinstance(pair, list) or len(pair) != 2:
                found = f"found {json.dumps(pair, default=str)[:80]}, expected [question, answer]"
                self._mistakes.add(place, "history", number, text=found)
                return
            for side, role in enumerate(("user", "assistant")):
                path = ("history", number, side)
                yield Turn(path, role, path, pair[side])

    def _read_keys(self, row, read, place):
        """Refuse or count the keys of a row that were not read."""
        for key, value in row.items():
            if key in read or is_empty(value) or _is_empty_json(value):
                continue
            said = str(value).strip().lower()
            judged = key == "label" and ("prompt" in read or said in ("true", "false"))
            if judged or key == "kto_tag":
                if said in ("false", "0", "0.0"):
                    text = f"found a bad answer ({key} false), expected answers to learn; remove "
                    hint = "the row, or write it as `rejected` of a row of preferences.jsonl"
                    self._mistakes.add(place, key, text=text + hint)
                elif said not in ("true", "1", "1.0"):
                    self._mistakes.note(f"the key {key} is not used")
            elif key in WEIGHTS:
                if said not in ("true", "1", "1.0"):
                    found = f"found {json.dumps(value, default=str)}, expected 1 for a whole row"
                    text = f"{found}; give weights of 0 to messages, and remove rows"
                    self._mistakes.add(place, key, text=text)
            elif key == "history":
                text = f"found earlier turns beside {read[0]}; put them in {read[0]}"
                self._mistakes.add(place, key, text=text)
            elif key == "input" and "chosen" in read:
                self._mistakes.add(place, key, text="found input, expected it inside prompt")
            elif why := refusal(key, REFUSED_IN_ROWS):
                text = f"found {key}, {why}; no step reads this key"
                self._mistakes.add(place, key, text=text)
            else:
                self._mistakes.note(f"the key {key} is not used")

    def _unknown(self, row, place):
        """Report once per file that its columns have no known form."""
        shown = (re.sub(r"(:\d+|, row \d+)$", "", place), *row)
        if shown in self._shown:
            return
        self._shown.add(shown)
        preferred = {"chosen", "rejected"} & row.keys()
        found = ", ".join(row) or "no fields"
        near = [name for key in row for name in difflib.get_close_matches(key, FIELDS, 1, 0.75)]
        hint = f"; did you mean {near[0]}?" if near else ""
        if preferred:
            hint = "; rows of preferences belong in preferences.jsonl"
        example = f"{{prompt: {next(iter(row), 'question')}, completion: ...}}"
        mapping = f"or map your columns, such as `columns: {example}` of the dataset in config"
        self._mistakes.add(place, text=f"found {found}, expected {FORMS}, {mapping}{hint}")


def _pair(row):
    """The names of a row's question and answer, or None."""
    whole = [pair for pair in PAIRS if all(name in row for name in pair)]
    begun = [pair for pair in PAIRS if pair[0] in row and not {"chosen", "rejected"} & row.keys()]
    return next(iter(whole + begun), None)


def _is_empty_json(value):
    return isinstance(value, str) and value.strip() in ("", "[]", "{}", "null")
