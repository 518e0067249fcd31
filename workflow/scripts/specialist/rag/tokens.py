"""Counts the tokens of an embedding model without loading its weights."""

import functools
from array import array

from specialist.core.errors import UserError
from specialist.rag.embedding import document_prompt, limited, locate_model, modules_of, read_json

LONGEST_TOKEN = 24  # characters; what is longer is a word that the model does not know
PIECE = 100_000  # characters that are tokenised at a time


class TokenCounter:
    """Counts text as an embedding model does, without loading its weights.

    Args:
        model: see `locate_model`.

    Attributes:
        most: tokens that the model reads of a text, special ones included.
    """

    def __init__(self, model):
        folder = locate_model(model)
        inside = folder / modules_of(model, folder)[0].get("path", "")
        self._tokenizer = _tokenizer(model, inside)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._special = self._tokenizer.num_special_tokens_to_add(False)
        self.most = _max_tokens(model, inside)
        path = folder / "config_sentence_transformers.json"
        prompts = read_json(model, path, dict).get("prompts") if path.is_file() else None
        self._prompt = document_prompt(prompts or {})
        self.overhead = functools.lru_cache(4096)(self._overhead)

    def count(self, text):
        """Tokens of a text, without special ones."""
        return len(self.starts(text))

    def _overhead(self, title):
        """Tokens of what is embedded besides the text of a chunk: prompt, title, special ones."""
        return self._special + self.count(f"{self._prompt}{title}\n")

    def starts(self, text):
        """Where the tokens of a text begin, in characters, ascending.

        A model has no token for a word in a script that it never saw, and reads it as one unknown
        token, whatever its length. Here, such a word counts as one token for each 4 characters,
        the usual length.
        """
        found = array("q")
        # Piece by piece: the tokenizer's own records of a token take 100 bytes.
        for begin, piece in _pieces(text):
            for start, stop in self._tokenizer.encode(piece, add_special_tokens=False).offsets:
                if stop - start > LONGEST_TOKEN:
                    found.extend(range(begin + start, begin + stop, 4))
                else:
                    found.append(begin + start)
        return found


def _pieces(text):
    """Yield (position, part) of a text, cut at blanks."""
    begin = 0
    while len(text) - begin > PIECE:
        stop = max(text.rfind("\n", begin, begin + PIECE), text.rfind(" ", begin, begin + PIECE))
        stop = begin + PIECE if stop <= begin else stop
        yield begin, text[begin:stop]
        begin = stop
    yield begin, text[begin:]


def _tokenizer(model, folder):
    """The `tokenizers.Tokenizer` of the model in a folder."""
    path = folder / "tokenizer.json"
    if path.is_file():
        from tokenizers import Tokenizer

        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing more specific
            raise UserError(
                f"embedding {model}: {path} is damaged: {error}; download or install the model "
                "again"
            ) from None
    from transformers import AutoTokenizer

    # Models with sentencepiece alone are converted, which takes seconds.
    opened = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    return opened.backend_tokenizer


def _max_tokens(model, folder):
    """Tokens that sentence-transformers lets the model in a folder read."""
    path = folder / "sentence_bert_config.json"
    if path.is_file() and (most := read_json(model, path, dict).get("max_seq_length")):
        return most
    keys = {"tokenizer_config.json": "model_max_length", "config.json": "max_position_embeddings"}
    sizes = [
        size
        for name, key in keys.items()
        if (folder / name).is_file() and (size := read_json(model, folder / name, dict).get(key))
    ]
    return limited(min((size for size in sizes if size > 0), default=None))
