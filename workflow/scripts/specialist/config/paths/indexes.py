"""The files of search indexes."""

from pathlib import Path

from specialist.config.paths.entries import entry
from specialist.config.settings.systems import Chunking


class Indexes:
    """Answers the rules' questions about indexes.

    Args:
        config: the loaded configuration.
        results: folder that the workflow writes to.
        datasets: the `Datasets` of the same configuration.
    """

    def __init__(self, config, results, datasets):
        self.config, self.results, self.datasets = config, results, datasets

    def entry(self, index):
        return entry(self.config, "indexes", index)

    def file(self, index, name):
        """A file below an index's folder, such as `chunks.jsonl`."""
        return f"{self.results}/{self.entry(index)['dataset']}/index/{index}/{name}"

    def encoder(self, index):
        """The GGUF that embeds queries, or an empty list where sentence-transformers does."""
        if self.entry(index)["encoder"] != "llama.cpp":
            return []
        return self.file(index, "encoder.gguf")

    def shift(self, index):
        """What an index learned from conversations, or an empty list where it learns nothing."""
        given = self.entry(index)
        if not given["learn_from"] or not self.datasets.part(given["dataset"], "sft"):
            return []
        return self.file(index, "shift.npy")

    def words(self, index):
        """The search by words, or an empty list where only vectors are searched."""
        return self.file(index, "bm25.zip") if "bm25" in self.entry(index)["search"] else []

    def conversations(self, index):
        """The inputs that weight the fusion of two searches, or an empty list."""
        dataset = self.entry(index)["dataset"]
        return self.datasets.prepared(dataset, "sft.train.jsonl") if self.shift(index) else []

    def how(self, index):
        """How an index is searched, as `specialist.rag.ranking.How` takes it."""
        if index is None:
            return {}
        given = self.entry(index)
        return {
            "dense": "dense" in given["search"],
            "bm25": "bm25" in given["search"],
            "sentences": given["sentences"],
            "articles": given["articles"],
            "reranker": given.get("reranker"),
        }

    def weights(self, index):
        """Files of the embedding model if it is a folder: only their content identifies it."""
        return self._folder(self.entry(index)["embedding"])

    def reranker(self, index):
        """The same of the reranker."""
        return self._folder(self.entry(index).get("reranker", ""))

    @staticmethod
    def _folder(model):
        kind, _, name = model.partition(":")
        if kind != "path":
            return []
        files = [path for path in Path(name).rglob("*") if path.is_file()]
        hidden = [path for path in files if "/." in f"/{path.relative_to(name)}"]
        return sorted(str(path) for path in files if path not in hidden)

    def search(self, index):
        """The named inputs of a search, for `unpack`; all of them [] without an index."""
        if index is None:
            names = ("store", "settings", "encoder", "shift", "words", "reranker")
            return dict.fromkeys(names, [])
        return {
            "store": self.file(index, "chroma.zip"),
            "settings": self.file(index, "embeddings.json"),
            "encoder": self.encoder(index),
            "shift": self.shift(index),
            "words": self.words(index),
            "reranker": self.reranker(index),
        }

    def chunking(self, index):
        """How the articles of an index are cut, as `chunk_kb` takes it."""
        return {name: self.entry(index)[name] for name in Chunking.model_fields}

    def plain(self, index):
        """The named inputs of a search without what is learned from conversations."""
        names = {"settings": "embeddings.json", "chunks": "chunks.jsonl"}
        names |= {"embeddings": "embeddings.npy"}
        found = {name: self.file(index, file) for name, file in names.items()}
        return found | {"encoder": self.encoder(index)}

    def canonical(self, index):
        """The files with stable bytes that a store can be built from again."""
        names = ("chunks.jsonl", "embeddings.npy", "embeddings.json")
        files = [*(self.file(index, name) for name in names), self.encoder(index)]
        return [path for path in [*files, self.shift(index), self.words(index)] if path]
