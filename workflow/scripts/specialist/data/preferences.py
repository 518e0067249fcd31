"""Reads rows of preferences: a prompt, and two continuations of the assistant."""

from itertools import pairwise

from specialist.data.conversations import Conversations
from specialist.data.formats import check_text
from specialist.data.messages import Turn, check_messages, message_turns

FIELDS = ("prompt", "chosen", "rejected")


class Preferences(Conversations):
    """Reads rows as {"prompt", "chosen", "rejected"}, lists of messages.

    "prompt" and "chosen" come out in the agent's protocol. "rejected" stays as it is, unless
    "chosen" was converted: both then differ in what they say, not in their form.
    """

    def read(self, row, place):
        """A row of clean messages, or None if something is wrong with it."""
        mistakes, before = self._mistakes, len(self._mistakes.found)
        turns = {name: self._side(row.get(name), name, place) for name in FIELDS}
        self._read_keys(row, (*FIELDS, "system"), place)
        if len(mistakes.found) > before:
            return None
        if (prompt := self._led(row, turns["prompt"], place)) is None:
            return None
        for turn in prompt:
            self.convert(turn, place)
            turn.weight = 1  # nothing of the prompt carries loss
        if any([self.convert(turn, place) for turn in turns["chosen"]]):
            for turn in turns["rejected"]:
                self.convert(turn, place, strict=False)
        both = [check_messages(prompt + turns[name], mistakes, place) for name in FIELDS[1:]]
        if None in both:
            return None
        if both[0] == both[1]:
            found = "found the same as in chosen, expected a worse reply"
            text = f"{found}; change it or remove the row"
            return mistakes.add(place, "rejected", text=text)
        # Results of tools in a row are one message there.
        roles = [turn.role for turn in prompt]
        asked = len(roles) - sum(pair == ("tool", "tool") for pair in pairwise(roles))
        sides = zip(FIELDS, [both[0][:asked], *(side[asked:] for side in both)], strict=True)
        return dict(sides)

    def _side(self, value, name, place):
        """The turns of a field of a row: its messages, or a text as one."""
        if not isinstance(value, list):
            role = "user" if name == "prompt" else "assistant"
            check_text(value, self._mistakes, place, name)
            return [Turn((name,), role, (name,), value)]
        turns = message_turns(value, self._mistakes, place, name)
        if not turns and name != "prompt":
            text = "found no turn, expected one of the assistant"
            return turns is not None and self._mistakes.add(place, name, text=text)
        for turn in turns if name != "prompt" else ():
            if not turn.weight:
                text = "found 0, expected no weight in preferences; remove the key or the row"
                self._mistakes.add(place, *turn.path[:-1], "weight", text=text)
        return turns
