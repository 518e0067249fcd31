"""What the model reads of a conversation: the same in training, evaluation and release.

Earlier exchanges are condensed to the customer's message and the assistant's last turn; the
searches and calls between them are left out. The current exchange is whole. In a conversation that
outgrows the context the oldest answers are left out first, then the oldest messages of the
customer, and never anything of the current exchange.
"""

import bisect

from specialist.agent import react

# Replaces an answer that is left out. The message still has an answer, and turns alternate, as many
# templates require.
LEFT_OUT = react.write_answer("answered", "...")


def remembered(messages, count=None, room=None):
    """The messages that the model reads for its next turn.

    Args:
        messages: the full record, [{"role", "content"}], from the system message on.
        count: function from messages to their number of tokens, or None for no limit.
        room: most tokens that the messages may have, or None for no limit.

    Returns:
        a list of messages. It is longer than `room` only if the current exchange alone is.
    """
    head, earlier, current = _exchanges(messages)
    parts = 2 * len(earlier)

    def condensed(kept):
        """The conversation with the last `kept` messages of the customer; then with answers."""
        told = []
        for place in range(max(0, len(earlier) - kept), len(earlier)):
            message, answer = earlier[place]
            told.append(message)
            if answer:
                left_out = place < parts - kept
                told.append({**answer, "content": LEFT_OUT} if left_out else answer)
        return [*head, *told, *current]

    def too_long(kept):
        return count(condensed(kept)) > room

    whole = condensed(parts)
    if not count or room is None:
        return whole
    # Short enough to be counted as a whole: a token is seldom longer than 32 characters.
    if sum(len(turn["content"]) for turn in whole) <= 32 * room and not too_long(parts):
        return whole
    # The work depends on what fits, not on the length of the conversation.
    most = 1
    while most <= parts and not too_long(most):
        most *= 2
    kept = range(most // 2 + 1, min(most, parts + 1))
    return condensed(most // 2 + bisect.bisect_left(kept, True, key=too_long))


def _exchanges(messages):
    """(messages before the first exchange, [(message, last answer)], current exchange)."""
    starts = [place for place, turn in enumerate(messages) if turn["role"] == "user"]
    if not starts:
        return messages, [], []
    ends = [*starts[1:], len(messages)]
    parts = [messages[start:end] for start, end in zip(starts, ends, strict=True)]
    earlier = []
    for part in parts[:-1]:
        said = [turn for turn in part if turn["role"] == "assistant"]
        earlier.append((part[0], said[-1] if said else None))
    return messages[: starts[0]], earlier, parts[-1]
