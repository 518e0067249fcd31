"""The one place that opens a GGUF: tokens, logits and greedy decoding through llama.cpp.

It uses the low-level interface of llama-cpp-python. The `Llama` class copies the logits and
rebuilds its sampler for each token, which makes a small model much slower.
"""

import ctypes
import time
from dataclasses import dataclass

from specialist.core.errors import UserError
from specialist.gguf.library import forget, library, reason
from specialist.gguf.tokens import Tokens

# The layout of llama_token_data in llama.h.
TOKEN_DATA = [("id", "i4"), ("logit", "f4"), ("p", "f4")]
GRAMMARS = 32  # most parsed grammars that are kept
BATCH = 512  # most tokens evaluated in one call; bounds the memory for logits


class ContextOverflow(Exception):
    """A prompt leaves no room in the context for a single new token."""


@dataclass
class Usage:
    """What a `Runtime` has evaluated so far; tokens found in the cache are not counted."""

    prompt_tokens: int = 0
    prompt_seconds: float = 0.0
    generated_tokens: int = 0
    generated_seconds: float = 0.0


class Runtime(Tokens):
    """A GGUF model with one sequence of cached keys and values.

    Decoding is greedy, so equal calls give equal tokens for a given file, library and number of
    threads. The last bits of the logits may depend on how a sequence was cut into batches.
    `start` makes a conversation independent of earlier ones.

    Args:
        path: the GGUF file.
        context: most tokens in a sequence; None takes what the model was trained for.
        threads: CPU threads that one evaluation uses.
        weights: False for a file of tokens alone, or if only its tokens are needed.
        sequences: conversations that the cache holds at the same time, each with `context`
            tokens. `specialist.gguf.batch` uses more than one.

    Raises:
        UserError: the file cannot be loaded, or the context is longer than trained for.
    """

    def __init__(self, path, context=None, threads=1, weights=True, sequences=1):
        self._lib, self._path = library(), path
        lib = self._lib
        self._model = self._context = None
        self._grammars = {}
        params = lib.llama_model_default_params()
        params.vocab_only = not weights
        forget()
        self._model = lib.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise UserError(f"{path}: llama.cpp cannot load this file: {reason()}")
        self._vocab = lib.llama_model_get_vocab(self._model)
        self.vocabulary = lib.llama_vocab_n_tokens(self._vocab)
        # Ids of the tokens that begin and end a text; -1 for none.
        self.bos = lib.llama_vocab_bos(self._vocab)
        self.eos = lib.llama_vocab_eos(self._vocab)
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(self._vocab))
        if not weights:
            return
        trained = lib.llama_model_n_ctx_train(self._model)
        self.context = context or trained
        if self.context > trained:
            raise UserError(
                f"{path}: found a context of {context} tokens, but the model was "
                f"trained for {trained}; set the context to at most {trained}"
            )
        params = lib.llama_context_default_params()
        self.sequences = params.n_seq_max = sequences
        params.n_ctx = self.context * sequences
        params.n_batch = params.n_ubatch = min(BATCH, self.context)
        params.n_threads = params.n_threads_batch = threads
        self._batch_size = params.n_batch
        self._context = lib.llama_init_from_model(self._model, params)
        if not self._context:
            raise UserError(
                f"{path}: llama.cpp cannot make a context of {self.context}: {reason()}"
            )
        self._memory = lib.llama_get_memory(self._context)
        self._tokens = (lib.llama_token * self._batch_size)()
        self._cached = []  # the ids whose keys and values are in the cache
        self._prefix = []  # the ids that `start` evaluated on their own
        self.usage = Usage()

    def close(self):
        """Free the model; a second call does nothing."""
        for sampler in self._grammars.values():
            self._lib.llama_sampler_free(sampler)
        self._grammars = {}
        if self._context:
            self._lib.llama_free(self._context)
        if self._model:
            self._lib.llama_model_free(self._model)
        self._context = self._model = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def logits(self, ids):
        """Logits after each token of a sequence of its own: float32 array [len(ids), vocabulary].

        Raises:
            ContextOverflow: more ids than the context holds.
        """
        import numpy as np

        if len(ids) > self.context:
            raise ContextOverflow(f"{len(ids)} tokens, context {self.context}")
        lib, out = self._lib, np.empty((len(ids), self.vocabulary), np.float32)
        self._keep(0)
        batch = lib.llama_batch_init(self._batch_size, 0, 1)
        try:
            for start in range(0, len(ids), self._batch_size):
                part = ids[start : start + self._batch_size]
                batch.n_tokens = len(part)
                for i, token in enumerate(part):
                    batch.token[i], batch.pos[i], batch.logits[i] = token, start + i, True
                    batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
                self._decode(batch)
                shape = (len(part), self.vocabulary)
                out[start : start + len(part)] = np.ctypeslib.as_array(
                    lib.llama_get_logits(self._context), shape
                )
        finally:
            lib.llama_batch_free(batch)
        self._cached = list(ids)
        return out

    def start(self, prefix):
        """Begin a conversation that opens with `prefix`, evaluated once and on its own.

        Later conversations with the same prefix start from the very same cached state, so
        none depends on those before it.
        """
        if self._prefix != prefix or self._cached[: len(prefix)] != prefix:
            self._keep(0)
            self._evaluate(prefix)
            self._prefix = list(prefix)
        self._keep(len(prefix))

    def generate(self, ids, grammar=None, max_tokens=256, stop_ids=()):
        """Greedy continuation of a prompt, as a list; see `stream`."""
        return list(self.stream(ids, grammar, max_tokens, stop_ids))

    def stream(self, ids, grammar=None, max_tokens=256, stop_ids=()):
        """Greedy continuation of a prompt, token by token.

        A prefix that the prompt shares with the sequence before it is not evaluated again. The
        caller may stop at any token; the next call continues from there.

        Args:
            ids: the whole prompt.
            grammar: GBNF with a rule `root`, which the continuation must follow, or None.
            max_tokens: most tokens to generate; the end of the context stops as well.
            stop_ids: tokens to stop at, besides the model's own end-of-generation tokens.

        Yields:
            The new ids; the last is a stop token unless a limit came first.

        Raises:
            ContextOverflow: the prompt fills the context.
            ValueError: the grammar cannot be parsed.
        """
        lib, usage, begin = self._lib, self.usage, time.perf_counter()
        if len(ids) >= self.context:
            raise ContextOverflow(f"{len(ids)} tokens in the prompt, context {self.context}")
        sampler = self._grammar(grammar) if grammar else None
        try:
            # The last token is evaluated in any case: its logits are needed.
            kept = self._keep(min(_common(self._cached, ids), len(ids) - 1))
            self._evaluate(ids[kept:])
            # Reading the logits waits for the evaluation, so the clock is right on a GPU too.
            token = self._choose(sampler)
            usage.prompt_tokens += len(ids) - kept
            usage.prompt_seconds += time.perf_counter() - begin
            for left in range(min(max_tokens, self.context - len(ids)), 0, -1):
                usage.generated_tokens += 1
                yield token
                if left == 1 or token in stop_ids or self.ends(token):
                    return
                begin = time.perf_counter()
                if sampler:
                    lib.llama_sampler_accept(sampler, token)
                self._evaluate([token])
                token = self._choose(sampler)
                usage.generated_seconds += time.perf_counter() - begin
        finally:
            if sampler:
                lib.llama_sampler_free(sampler)

    def time(self, prompt, continuation):
        """Seconds to evaluate a prompt, and then given tokens one at a time.

        A given continuation makes models comparable: none stops early.
        """
        self._keep(0)
        begin = time.perf_counter()
        self._evaluate(prompt)
        self._choose(None)
        middle = time.perf_counter()
        for token in continuation:
            self._evaluate([token])
            self._choose(None)
        return middle - begin, time.perf_counter() - middle

    def _grammar(self, text):
        """A sampler at the start of a grammar; the latest are kept, and copied for each call."""
        if text not in self._grammars:
            if len(self._grammars) >= GRAMMARS:
                self._lib.llama_sampler_free(self._grammars.pop(next(iter(self._grammars))))
            forget()
            sampler = self._lib.llama_sampler_init_grammar(self._vocab, text.encode(), b"root")
            if not sampler:
                raise ValueError(f"llama.cpp cannot parse a grammar: {reason()}\n{text}")
            self._grammars[text] = sampler
        return self._lib.llama_sampler_clone(self._grammars[text])

    def _choose(self, sampler):
        """The likeliest next token that the grammar allows."""
        import numpy as np

        logits = np.ctypeslib.as_array(
            self._lib.llama_get_logits_ith(self._context, -1), (self.vocabulary,)
        )
        return self.allowed(sampler, logits, int(logits.argmax()))

    def allowed(self, sampler, logits, best):
        """The likeliest token that a grammar's sampler allows, `best` being the likeliest of all.

        A trained model nearly always follows the grammar. Checking only its first choice avoids a
        pass over the vocabulary.
        """
        import numpy as np

        if sampler and not np.isfinite(self._constrained(sampler, logits, [best])):
            best = self._constrained(sampler, logits, np.arange(self.vocabulary)).argmax()
        return int(best)

    def _constrained(self, sampler, logits, ids):
        """Logits of the candidates `ids`, minus infinity for those that the grammar refuses."""
        import numpy as np

        lib, data = self._lib, np.zeros(len(ids), TOKEN_DATA)
        data["id"], data["logit"] = ids, logits[ids]
        pointer = data.ctypes.data_as(ctypes.POINTER(lib.llama_token_data))
        array = lib.llama_token_data_array(data=pointer, size=len(ids), selected=-1, sorted=False)
        lib.llama_sampler_apply(sampler, ctypes.byref(array))
        return data["logit"]

    def _keep(self, count):
        """Cut the cache to its first `count` tokens, to none if the model cannot; its new size."""
        if count < len(self._cached):
            if not self._lib.llama_memory_seq_rm(self._memory, 0, count, -1):
                self._lib.llama_memory_clear(self._memory, True)
                count = 0
            del self._cached[count:]
        return count

    def _evaluate(self, ids):
        for start in range(0, len(ids), self._batch_size):
            part = ids[start : start + self._batch_size]
            self._tokens[: len(part)] = part
            self._decode(self._lib.llama_batch_get_one(self._tokens, len(part)))
            self._cached += part

    def _decode(self, batch):
        forget()
        if code := self._lib.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode failed with code {code}: {reason()}")


def _common(first, second):
    """Length of the longest common prefix."""
    for i, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return i
    return min(len(first), len(second))
