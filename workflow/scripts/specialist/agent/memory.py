"""What the model reads of a conversation: the same in training, evaluation and release.

Earlier exchanges are condensed to the customer's message and the assistant's last turn; the
searches and calls between them are left out. The current exchange is whole. A conversation that
outgrows the context loses its oldest answers first, then its oldest messages of the customer, and
never anything of the current exchange.
"""

import bisect


def remembered(messages, count=None, room=None):
    """The messages that the model reads for its next turn.

    Args:
        messages: the full record, [{"role", "content"}], from the system message on.
        count: function from messages to their number of tokens, or None for no limit.
        room: most tokens that the messages may have, or None for no limit.

    Returns:
        a list of messages. It may be longer than `room` if the current exchange alone is.
    """
    head, earlier, current = _exchanges(messages)
    answers = [(place, 1) for place, (_, answer) in enumerate(earlier) if answer]
    order = [*answers, *((place, 0) for place in range(len(earlier)))]

    def condensed(kept):
        """The conversation with the last `kept` parts in the order of dropping."""
        dropped = set(order[: len(order) - kept])
        told = [
            part
            for place, exchange in enumerate(earlier)
            for side, part in enumerate(exchange)
            if part and (place, side) not in dropped
        ]
        return _joined([*head, *told, *current])

    def too_long(kept):
        return count(condensed(kept)) > room

    whole = condensed(len(order))
    if not count or room is None:
        return whole
    # Short enough to be counted as a whole: a token is seldom longer than 32 characters.
    if sum(len(turn["content"]) for turn in whole) <= 32 * room and count(whole) <= room:
        return whole
    # The work depends on what fits and not on how long the conversation is.
    most = 1
    while most <= len(order) and not too_long(most):
        most *= 2
    kept = range(most // 2 + 1, min(most, len(order) + 1))
    return condensed(most // 2 + bisect.bisect_left(kept, True, key=too_long))


def _exchanges(messages):
    """(messages before the first exchange, [(message, last answer or None)], current exchange)."""
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


def _joined(messages):
    """Messages with neighbours of the customer as one: many templates refuse two in a row."""
    joined = []
    for turn in messages:
        if joined and turn["role"] == joined[-1]["role"] == "user":
            text = f"{joined[-1]['content']}\n{turn['content']}"
            joined[-1] = {**turn, "content": text}
        else:
            joined.append(turn)
    return joined
