"""The tokens of a GGUF and the chat template that it carries."""

import ctypes
import functools

from specialist.core.errors import UserError
from specialist.core.text import chat_renderer


class Tokens:
    """The part of a `specialist.gguf.runtime.Runtime` that needs no weights."""

    @functools.cached_property
    def chat_template(self):
        """The Jinja template that the GGUF carries for conversations.

        Raises:
            UserError: it has none.
        """
        if not (template := self._lib.llama_model_chat_template(self._model, None)):
            raise UserError(
                f"{self._path}: the model has no chat template, but the agent needs one; "
                "convert it from a folder with chat_template.jinja"
            )
        return template.decode()

    def render(self, messages, open=True):
        """A conversation as text, by that template; `open` opens the assistant's next turn."""
        return self._renderer(messages, add_generation_prompt=open)

    @functools.cached_property
    def _renderer(self):
        bos, eos = self.control_text(self.bos), self.control_text(self.eos)
        return chat_renderer(self.chat_template, {"bos_token": bos, "eos_token": eos})

    def control_text(self, token):
        """Text of a control token, or "" for another token or none."""
        return next((text for text, own in self.control_tokens.items() if own == token), "")

    @functools.cached_property
    def control_tokens(self):
        """The tokens that structure text, such as "<|im_end|>": text -> id."""
        lib, vocab = self._lib, self._vocab
        return {
            lib.llama_vocab_get_text(vocab, token).decode(): token
            for token in range(self.vocabulary)
            if lib.llama_vocab_is_control(vocab, token)
        }

    @functools.cached_property
    def opens_with_blank(self):
        """Whether the first token of a text has a blank before it, as SentencePiece does it."""
        first = self.tokenize("a", special=False)[0]
        return self._lib.llama_vocab_get_text(self._vocab, first).decode().startswith("\u2581")

    def ends(self, token):
        """Whether a token ends generation."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    def tokenize(self, text, special=True):
        """Token ids of `text`, nothing added.

        Args:
            text: str.
            special: whether texts such as "<|im_end|>" become control tokens; False for text from
                outside, which must not end a turn or open another.
        """
        data = text.encode()
        # No token is shorter than a byte; SentencePiece may put a blank before them.
        ids = (self._lib.llama_token * (len(data) + 1))()
        count = self._lib.llama_tokenize(
            self._vocab, data, len(data), ids, len(ids), False, special
        )
        return ids[:count]

    def detokenize(self, ids):
        """Text of token ids, control tokens included; a split character becomes U+FFFD."""
        tokens = (self._lib.llama_token * len(ids))(*ids)
        size = 0
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = self._lib.llama_detokenize(
                self._vocab, tokens, len(ids), buffer, size, False, True
            )
            if count >= 0:
                return buffer.raw[:count].decode(errors="replace")
            size = -count
