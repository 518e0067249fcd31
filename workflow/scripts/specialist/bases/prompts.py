"""The tokenizer of a base for prompts that are sent to a server."""

import functools

from specialist.train.conversations import BaseTokenizer


class PromptTokens(BaseTokenizer):
    """The tokenizer of a base, with what a policy asks of a `specialist.gguf.runtime.Runtime`.

    Args:
        folder: holds tokenizer.json, tokenizer_config.json and chat_template.jinja.
    """

    def __init__(self, folder):
        from transformers import AutoTokenizer

        super().__init__(
            AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        )

    @functools.cached_property
    def opens_with_blank(self):
        """Whether the first token of a text has a blank before it, as SentencePiece does it."""
        first = self.tokenize("a", special=False)[0]
        return self._tokenizer.convert_ids_to_tokens(first).startswith("\u2581")

    def text(self, ids):
        """Text of token ids, control tokens included."""
        return self._tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
