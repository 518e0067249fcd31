"""The embedding model: its location, and its two runtimes."""

import contextlib
import functools
import hashlib
import importlib.util
import json
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.hub import download
from specialist.rag.index_files import read_settings

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
    for module in modules_of(model, folder):
        if not module["type"].startswith("sentence_transformers."):
            raise UserError(
                f"embedding {model}: module {module['type']} is the model's own code, which "
                "is never run; choose a model that has only sentence-transformers' modules"
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


def modules_of(model, folder):
    """The entries of a model's modules.json: {"type": class, "path": folder}."""
    modules = read_json(model, folder / "modules.json", list)
    for module in modules:
        if not isinstance(module, dict) or not isinstance(module.get("type"), str):
            raise UserError(
                f"embedding {model}: {folder / 'modules.json'}: found {module!r}, expected a "
                "module with its type"
            )
    return modules


def read_json(model, path, kind):
    """The content of a JSON file of a model, which is a dict or a list."""
    found = None
    with contextlib.suppress(ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, kind) or not found:
        raise UserError(
            f"embedding {model}: {path} is damaged; download or install the model again"
        )
    return found


def limited(tokens):
    """A model's limit; some models give none, or a placeholder number."""
    return int(tokens) if tokens and tokens < 1e6 else NO_LIMIT


def document_prompt(prompts):
    """The model's prompt before a passage."""
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

    @property
    def max_tokens(self):
        """Tokens that the model reads of a text, special ones included."""
        return limited(self.transformer.max_seq_length)

    @functools.cached_property
    def dimension(self):
        """Numbers in a vector."""
        return self.documents([""]).shape[1]

    def count(self, texts):
        """Tokens of each passage as the model would read it without a limit."""
        prompt = document_prompt(self.transformer.prompts)
        texts = [prompt + text for text in texts]
        read = self.transformer.tokenizer(texts, truncation=False, verbose=False)
        return [len(ids) for ids in read["input_ids"]]

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

    It runs on one thread. A query is too short for more threads, and threads that wait for each
    other are slow on a busy machine.

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
        if (found := self._llama.n_embd()) != settings["dimension"]:
            self.close()
            raise UserError(
                f"{gguf}: this model gives {found} numbers for a text, and the index was made by "
                f"{settings['model']} with {settings['dimension']}; build the index again"
            )

    def documents(self, texts):
        """Vectors of passages: float32 [len(texts), dimension], of length 1."""
        return self._embed(self._prompts["document"], texts)

    def queries(self, texts):
        """Vectors of questions: float32 [len(texts), dimension], of length 1."""
        return self._embed(self._prompts["query"], texts)

    def _embed(self, prompt, texts):
        import numpy as np

        # One by one, so that a vector does not depend on the other texts.
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
    made = read_settings(settings)
    if not gguf:
        yield SentenceEncoder(made["model"], threads=threads)
        return
    with contextlib.closing(LlamaEncoder(gguf, made)) as encoder:
        yield encoder
