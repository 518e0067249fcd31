"""Search in a knowledge base: chunks, the model that embeds them, and the Chroma store."""

import contextlib
import hashlib
import importlib.util
import json
import shutil
import tempfile
from functools import cached_property
from pathlib import Path

from specialist.step import UserError

COLLECTION = "chunks"


def embedded_text(chunk):
    """What is embedded of a chunk: its title and its text below it."""
    return f"{chunk['title']}\n{chunk['text']}"


def read_chunks(path):
    """The records that chunk_kb wrote: list of {"id", "source", "title", "text"}."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


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
        root = _download(model, *name.rsplit("@", 1))
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


def _download(model, name, revision):
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"],
                ignore_patterns=["onnx/*", "openvino/*"],
            )
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"embedding {model}: not in the hub's cache and not to be had ({error}); check "
            "the name and the revision, and that HF_HUB_OFFLINE is unset for the download"
        ) from error


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


def chroma(path):
    """A client for the Chroma store in a folder, without telemetry; close it after use."""
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(path, settings=Settings(anonymized_telemetry=False))


class Searcher:
    """Finds the chunks nearest in meaning to a query.

    Args:
        store: zip of the Chroma store (build_chroma). A private copy is unpacked, as Chroma
            writes to a store even when it only reads.
        settings: JSON of the embeddings in the store (embed_chunks); names their model.
        encoder: GGUF of that model (convert_encoder), or None to run it by
            sentence-transformers, whose import takes seconds.
        top_k: chunks a search returns, fewer if there are not so many.
        threads: CPU threads for sentence-transformers.
    """

    def __init__(self, store, settings, encoder=None, *, top_k=1, threads=1):
        self.top_k, self._vectors = top_k, {}
        made = json.loads(Path(settings).read_text())
        self._open = contextlib.ExitStack()
        if encoder:
            self.encoder = self._open.enter_context(contextlib.closing(LlamaEncoder(encoder, made)))
        else:
            self.encoder = SentenceEncoder(made["model"], threads=threads)
        copy = self._open.enter_context(tempfile.TemporaryDirectory())
        shutil.unpack_archive(store, copy)
        client = self._open.enter_context(contextlib.closing(chroma(copy)))
        self._collection = client.get_collection(COLLECTION, embedding_function=None)

    def embed(self, queries):
        """Vectors of queries: float32 [len(queries), dimension]; each text is embedded once."""
        import numpy as np

        if new := [text for text in dict.fromkeys(queries) if text not in self._vectors]:
            self._vectors.update(zip(new, self.encoder.queries(new), strict=True))
        return np.stack([self._vectors[text] for text in queries])

    def search(self, query):
        """The best chunks for one query, best first; see `search_all`."""
        return self.search_all([query])[0]

    def search_all(self, queries, top_k=None):
        """The best chunks for each query, best first.

        Args:
            queries: list of str, at least one.
            top_k: chunks for each query; None for the searcher's own number.

        Returns:
            A list for each query of {"id", "source", "title", "text", "score"}; the score
            is the cosine similarity, from -1 to 1.
        """
        found = self._collection.query(
            query_embeddings=self.embed(queries),
            n_results=top_k or self.top_k,
            include=["documents", "metadatas", "distances"],
        )
        return [
            [
                {"id": id_, **metadata, "text": text, "score": 1 - distance}
                for id_, metadata, text, distance in zip(*columns, strict=True)
            ]
            for columns in zip(
                found["ids"],
                found["metadatas"],
                found["documents"],
                found["distances"],
                strict=True,
            )
        ]

    def close(self):
        """Free the model, close the store and delete the private copy of it."""
        self._open.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
