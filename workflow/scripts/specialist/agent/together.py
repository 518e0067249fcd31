"""Runs several episodes at the same time, their turns decoded in one batch."""

from specialist.agent.policies import Turn
from specialist.gguf.batch import Batch
from specialist.gguf.runtime import ContextOverflow


def together(episodes, model, slots):
    """Run episodes to their end.

    Which episodes share a batch depends on their order and their turns, never on the clock.
    Equal calls therefore give equal traces.

    Args:
        episodes: iterable of generators; see `specialist.agent.loop.Agent.episode`.
        model: `specialist.agent.policies.Model`, whose runtime has at least `slots + 1` sequences.
        slots: episodes at the same time.

    Yields:
        what the generators return, in their order.
    """
    stops = (model.chat.end,)
    batch = Batch(model.runtime, slots, model.prefix, model.max_new_tokens, stops)
    waiting, running, done, given = enumerate(episodes), {}, {}, 0
    with batch:
        free = list(range(slots))
        while True:
            while free and (job := next(waiting, None)):
                batch.clear(free[0])
                if _goes_on(*job, None, free[0], batch, model, running, done):
                    free.pop(0)
            while given in done:
                yield done.pop(given)
                given += 1
            if not running:
                return
            for slot in batch.step():
                number, episode, prompt = running.pop(slot)
                ended = batch.slots[slot]
                turn = model.written(ended.new, prompt, ended.usage)
                if not _goes_on(number, episode, turn, slot, batch, model, running, done):
                    free.append(slot)


def _goes_on(number, episode, turn, slot, batch, model, running, done):
    """Give an episode its turn; whether it waits for another one in its slot."""
    while True:
        try:
            messages = episode.send(turn)
        except StopIteration as end:
            done[number] = end.value
            return False
        ids = model.chat.ids(messages)
        try:
            batch.ask(slot, ids, grammar=model.grammar_of(messages))
        except ContextOverflow:
            turn = Turn("", cut="context_overflow")
            continue
        running[slot] = number, episode, len(ids)
        return True
