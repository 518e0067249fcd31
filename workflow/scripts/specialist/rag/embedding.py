"""The model that embeds texts: where it lies, and the two runtimes that run it."""

import contextlib
import hashlib
import importlib.util
import json
from functools import cached_property
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.hub import download


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
    for module in json.loads(found[0].read_text()):
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


class SentenceEncoder:
    """An embedding model run by sentence-transformers, loaded when it is first needed.

    Args:
        model: see `locate_model`.
        threads: CPU threads; the last bits of a vector may depend on them.
        device: "cpu", "cuda", "mps", or None for the fastest one that there is.
    """

    def __init__(self, model, *, threads=1, device="cpu"):
        self.model, self.threads, self.device = model, threads, device

    @cached_property
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
