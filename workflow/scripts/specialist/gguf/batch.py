"""Greedy decoding of several conversations in one batch of llama.cpp.

A small model spends most of a step on overhead that does not depend on the number of sequences.
Several conversations together therefore take little more time than one.
"""

import time
from dataclasses import dataclass, field

from specialist.gguf.runtime import ContextOverflow, Usage


@dataclass
class Slot:
    """A sequence of the batch.

    Attributes:
        cached: ids whose keys and values are in the cache.
        pending: ids that are not evaluated yet; the logits of the last one are needed.
        new: ids of the continuation so far.
        left: tokens that it may still have.
        sampler: its grammar, or None.
        usage: `specialist.gguf.runtime.Usage` of the current continuation.
    """

    cached: list = field(default_factory=list)
    pending: list = field(default_factory=list)
    new: list = field(default_factory=list)
    left: int = 0
    sampler: object = None
    usage: Usage = field(default_factory=Usage)


class Batch:
    """Continues a prompt in each of several slots at the same time.

    Greedy decoding in a batch gives the tokens of `Runtime.stream`, up to rounding: llama.cpp
    multiplies matrices in another order for another number of rows. The tokens do not depend on
    the clock: equal calls in equal order give equal tokens.

    Args:
        runtime: an open `specialist.gguf.runtime.Runtime` with at least `slots + 1` sequences.
        slots: conversations at the same time.
        prefix: ids that all of them begin with, evaluated once.
        max_tokens: most tokens of a continuation.
        stop_ids: tokens to stop at, besides the model's own.
    """

    def __init__(self, runtime, slots, prefix=(), max_tokens=256, stop_ids=()):
        if runtime.sequences <= slots:
            raise ValueError(f"{slots} slots need {slots + 1} sequences, not {runtime.sequences}")
        self.runtime, self.max_tokens = runtime, max_tokens
        self._stops, self._prefix, self._master = set(stop_ids), list(prefix), slots
        self.slots = [Slot() for _ in range(slots)]
        self._lib, self._size = runtime._lib, runtime._batch_size
        self._batch = self._lib.llama_batch_init(self._size, 0, 1)
        if self._prefix:
            rows = [(self._master, at, token, False) for at, token in enumerate(self._prefix)]
            for start in range(0, len(rows), self._size):
                self._decode(rows[start : start + self._size])
            for slot in range(slots):
                self._lib.llama_memory_seq_cp(runtime._memory, self._master, slot, -1, -1)
        for slot in self.slots:
            slot.cached = list(self._prefix)

    def close(self):
        """Free the batch; the runtime stays open."""
        for slot in self.slots:
            self._free(slot)
        if self._batch:
            self._lib.llama_batch_free(self._batch)
        self._batch = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def clear(self, number):
        """Cut a slot to the prefix; its next conversation is then independent of earlier ones."""
        self._keep(number, len(self._prefix))

    def ask(self, number, ids, *, grammar=None, max_tokens=None):
        """Give a slot a whole prompt; what it has in common with its cache is not evaluated again.

        Args:
            number: of the slot.
            ids: the prompt.
            grammar: GBNF that the continuation follows, or None.
            max_tokens: instead of that of the batch.

        Raises:
            ContextOverflow: the prompt fills the context.
            ValueError: the grammar cannot be parsed.
        """
        slot, room = self.slots[number], self.runtime.context - len(ids)
        if room <= 0:
            raise ContextOverflow(f"{len(ids)} tokens, context {self.runtime.context}")
        # The last token is evaluated in any case: its logits are needed.
        kept = 0
        for cached, wanted in zip(slot.cached, ids[:-1], strict=False):
            if cached != wanted:
                break
            kept += 1
        self._keep(number, kept)
        slot.pending, slot.new, slot.usage = list(ids[len(slot.cached) :]), [], Usage()
        slot.left = min(max_tokens or self.max_tokens, room)
        self._free(slot)
        try:
            slot.sampler = self.runtime._grammar(grammar) if grammar else None
        except ValueError:
            slot.pending = []
            raise
        slot.usage.prompt_tokens = len(slot.pending)

    def step(self):
        """Evaluate one batch.

        Returns:
            numbers of the slots whose continuation ended with this step; `Slot.new` holds it. It
            ends without a stop token at a limit, and where the grammar allows no token.
        """
        begin, size = time.perf_counter(), self._size
        rows, ready, taken = [], [], []
        # Slots that generate come first: a long prompt does not make them wait.
        waiting = sorted(
            (number for number, slot in enumerate(self.slots) if slot.pending),
            key=lambda number: len(self.slots[number].pending) > 1,
        )
        for number in waiting:
            slot = self.slots[number]
            part = slot.pending[: size - len(rows)]
            if not part:
                break
            last, start = len(part) == len(slot.pending), len(slot.cached)
            rows += [(number, start + i, token, False) for i, token in enumerate(part)]
            if last:
                rows[-1] = (*rows[-1][:3], True)
                ready.append(number)
            taken.append((slot, bool(slot.new)))
            slot.cached += part
            del slot.pending[: len(part)]
        self._decode(rows)
        ended = self._choose(ready)
        seconds = (time.perf_counter() - begin) / max(1, len(taken))
        for slot, generating in taken:
            if generating:
                slot.usage.generated_seconds += seconds
            else:
                slot.usage.prompt_seconds += seconds
        return ended

    def _choose(self, ready):
        """Append to each slot the likeliest token that its grammar allows; returns ended slots."""
        import numpy as np

        if not ready:
            return []
        runtime, lib, ended = self.runtime, self._lib, []
        shape = (len(ready), runtime.vocabulary)
        logits = np.ctypeslib.as_array(lib.llama_get_logits(runtime._context), shape)
        for number, row, best in zip(ready, logits, logits.argmax(axis=1), strict=True):
            slot = self.slots[number]
            token = runtime.allowed(slot.sampler, row, int(best))
            if slot.sampler and (token != best or token == 0) and self._refused(slot, row, token):
                ended.append(number)  # llama.cpp would end the process if it were given the token
                continue
            slot.new.append(token)
            slot.usage.generated_tokens += 1
            slot.left -= 1
            if slot.left == 0 or token in self._stops or runtime.ends(token):
                ended.append(number)
                continue
            if slot.sampler:
                lib.llama_sampler_accept(slot.sampler, token)
            slot.pending = [token]
        return ended

    def _refused(self, slot, row, token):
        """Whether a slot's grammar refuses a token; it then allows none, not even an end."""
        import numpy as np

        return not np.isfinite(self.runtime._constrained(slot.sampler, row, [token])[0])

    def stop(self, number):
        """End a slot's continuation before its limit."""
        self.slots[number].pending = []

    def _keep(self, number, count):
        slot = self.slots[number]
        if count < len(slot.cached):
            memory = self.runtime._memory
            if not self._lib.llama_memory_seq_rm(memory, number, count, -1):
                self._lib.llama_memory_seq_rm(memory, number, -1, -1)
                count = 0
            del slot.cached[count:]

    def _decode(self, rows):
        batch = self._batch
        batch.n_tokens = len(rows)
        for i, (number, position, token, wanted) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, number
        self.runtime._decode(batch)

    def _free(self, slot):
        if slot.sampler:
            self._lib.llama_sampler_free(slot.sampler)
        slot.sampler = None
