"""Reranking: a cross-encoder reads the query and each passage together."""

from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.hub import download
from specialist.rag.index_files import embedded_text

FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]


def locate_reranker(model):
    """The folder of a cross-encoder.

    Args:
        model: "path:FOLDER", or "hub:ID@REVISION" (the Hugging Face hub's cache, filled from the
            network unless HF_HUB_OFFLINE is set).

    Raises:
        UserError: there is no such model, or loading it would run code or a pickle.
    """
    kind, _, name = model.partition(":")
    if kind == "hub" and "@" in name:
        folder = download(f"reranker {model}", *name.rsplit("@", 1), FILES)
    elif kind == "path":
        folder = Path(name)
    else:
        raise UserError(f"reranker {model}: expected path:FOLDER or hub:ID@REVISION")
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise UserError(
            f"reranker {model}: expected config.json and *.safetensors in {folder}; give the "
            "folder of a cross-encoder"
        )
    return folder


class Reranker:
    """A cross-encoder run by sentence-transformers, whose import takes seconds.

    Args:
        model: see `locate_reranker`.
    """

    def __init__(self, model):
        folder = locate_reranker(model)
        from sentence_transformers import CrossEncoder

        self._model = CrossEncoder(
            str(folder),
            num_labels=1,
            device="cpu",
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )

    def order(self, query, hits):
        """The hits by the model's score, best first; of equal ones the first."""
        if not hits:
            return hits
        pairs = [(query, embedded_text(hit)) for hit in hits]
        scores = self._model.predict(pairs, show_progress_bar=False)
        scored = [hit | {"score": float(score)} for hit, score in zip(hits, scores, strict=True)]
        return sorted(scored, key=lambda hit: -hit["score"])
