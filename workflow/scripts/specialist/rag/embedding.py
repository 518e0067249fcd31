"""The model that embeds texts: where it lies, and the two runtimes that run it."""

import contextlib
import functools
import hashlib
import importlib.util
import json
from array import array
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.hub import download

LONGEST_TOKEN = 24  # characters; what is longer is a word that the model does not know
PIECE = 100_000  # characters that are tokenised at a time
NO_LIMIT = 8192  # tokens of a model that names no limit


def locate_model(model):
    """The folder that holds an embedding model in sentence-transformers' layout.

    Args:
        model: "package:NAME" (an installed Python package carries the files; it is not
            imported), "path:FOLDER", or "hub:ID@REVISION" (the Hugging Face hub's cache,
            filled from the network unless HF_HUB_OFFLINE is set).

    Raises:
        UserError: there is no such model, or loading it would run code or a pickle.
    """
    kind, _, name = model.partition(":")
    if kind == "package":
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise UserError(f"embedding {model}: no package '{name}' is installed; install it")
        root = Path(spec.submodule_search_locations[0])
    elif kind == "path":
        root = Path(name)
    elif kind == "hub" and "@" in name:
        patterns = ["*.json", "*.txt", "*.model", "*.safetensors"]
        root = download(f"embedding {model}", *name.rsplit("@", 1), patterns)
    else:
        raise UserError(f"embedding {model}: expected package:NAME, path:FOLDER or hub:ID@REVISION")
    # A package may keep the model in a folder of its own.
    found = sorted(root.rglob("modules.json"), key=lambda path: len(path.parts))
    if not found:
        raise UserError(
            f"embedding {model}: no sentence-transformers model (modules.json) under {root}"
        )
    folder = found[0].parent
    for module in _modules(model, folder):
        if not module["type"].startswith("sentence_transformers."):
            raise UserError(
                f"embedding {model}: module {module['type']} is code of the model's own, which "
                "is never run; choose a model built of sentence-transformers' modules"
            )
    if not any(folder.rglob("*.safetensors")):
        raise UserError(f"embedding {model}: no *.safetensors weights in {folder}; convert them")
    return folder


def weights_sha256(folder):
    """One SHA-256 over all weights of a model, in the order of their paths."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _modules(model, folder):
    """The entries of a model's modules.json: {"type": class, "path": folder}."""
    modules = _json(model, folder / "modules.json", list)
    for module in modules:
        if not isinstance(module, dict) or not isinstance(module.get("type"), str):
            raise UserError(
                f"embedding {model}: {folder / 'modules.json'}: found {module!r}, expected a "
                "module with its type"
            )
    return modules


def _json(model, path, kind):
    """The content of a JSON file of a model, which is a dict or a list."""
    found = None
    with contextlib.suppress(ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, kind) or not found:
        raise UserError(
            f"embedding {model}: {path} is damaged; download or install the model again"
        )
    return found


class TokenCounter:
    """Counts text as an embedding model does, without loading its weights.

    Args:
        model: see `locate_model`.

    Attributes:
        most: tokens that the model reads of a text, special ones included.
    """

    def __init__(self, model):
        folder = locate_model(model)
        inside = folder / _modules(model, folder)[0].get("path", "")
        self._tokenizer = _tokenizer(model, inside)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._special = self._tokenizer.num_special_tokens_to_add(False)
        self.most = _max_tokens(model, inside)
        path = folder / "config_sentence_transformers.json"
        prompts = _json(model, path, dict).get("prompts") if path.is_file() else None
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

        A model knows no token for a word in a script that it never saw, and takes it for one
        unknown token however long it is. Such a word counts a token for each 4 characters, the
        usual length.
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
    if path.is_file() and (most := _json(model, path, dict).get("max_seq_length")):
        return most
    keys = {"tokenizer_config.json": "model_max_length", "config.json": "max_position_embeddings"}
    sizes = [
        size
        for name, key in keys.items()
        if (folder / name).is_file() and (size := _json(model, folder / name, dict).get(key))
    ]
    return int(min(size for size in [*sizes, NO_LIMIT] if size > 0))


def document_prompt(prompts):
    """What a model wants before a passage, of its prompts by name."""
    return next(filter(None, map(prompts.get, ("document", "passage", "corpus"))), "")


class SentenceEncoder:
    """An embedding model run by sentence-transformers, loaded when it is first needed.

    Args:
        model: see `locate_model`.
        threads: CPU threads; the last bits of a vector may depend on them.
        device: "cpu", "cuda", "mps", or None for the fastest one that there is.
    """

    def __init__(self, model, *, threads=1, device="cpu"):
        self.model, self.threads, self.device = model, threads, device

    @functools.cached_property
    def transformer(self):
        """The `SentenceTransformer`."""
        folder = locate_model(self.model)
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        torch.set_num_threads(self.threads)
        disable_progress_bar()
        return SentenceTransformer(
            str(folder),
            device=self.device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )

    def documents(self, texts):
        """Vectors of passages: float32 [len(texts), dimension], of length 1."""
        return self.transformer.encode_document(
            texts, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )

    def queries(self, texts):
        """Vectors of questions: float32 [len(texts), dimension], of length 1."""
        return self.transformer.encode_query(
            texts, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )


class LlamaEncoder:
    """The same embedding model run by llama.cpp, which starts in a fraction of the time.

    It runs on one thread: a query is too short to gain from more, and threads that wait
    for each other are slow on a busy machine.

    Args:
        gguf: the model, written by convert_encoder.
        settings: dict of the settings that embed_chunks wrote.
    """

    def __init__(self, gguf, settings):
        from llama_cpp import Llama

        self._prompts, size = settings["prompts"], settings["max_tokens"]
        self._llama = Llama(
            str(gguf),
            embedding=True,
            n_ctx=size,
            n_batch=size,
            n_ubatch=size,
            n_threads=1,
            n_threads_batch=1,
            verbose=False,
        )

    def documents(self, texts):
        """Vectors of passages: float32 [len(texts), dimension], of length 1."""
        return self._embed(self._prompts["document"], texts)

    def queries(self, texts):
        """Vectors of questions: float32 [len(texts), dimension], of length 1."""
        return self._embed(self._prompts["query"], texts)

    def _embed(self, prompt, texts):
        import numpy as np

        # One by one: a vector does not depend on what else is embedded.
        vectors = [self._llama.embed(prompt + text, normalize=True) for text in texts]
        return np.array(vectors, dtype=np.float32)

    def close(self):
        """Free the model, which llama-cpp-python does not manage when Python itself ends."""
        self._llama.close()


@contextlib.contextmanager
def open_encoder(settings, gguf=None, threads=1):
    """The model that made an index's embeddings, for use in a `with` block.

    Args:
        settings: JSON of embed_chunks; names the model.
        gguf: GGUF of that model (convert_encoder), or None to run it by
            sentence-transformers, whose import takes seconds.
        threads: CPU threads for sentence-transformers.
    """
    made = json.loads(Path(settings).read_text())
    if not gguf:
        yield SentenceEncoder(made["model"], threads=threads)
        return
    with contextlib.closing(LlamaEncoder(gguf, made)) as encoder:
        yield encoder
