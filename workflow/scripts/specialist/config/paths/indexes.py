"""The files of search indexes."""

import hashlib
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
        self._shards = {}  # of each index that was asked for

    def entry(self, index):
        return entry(self.config, "indexes", index)

    def file(self, index, name):
        """A file below an index's folder, such as `chunks.jsonl`."""
        return f"{self.results}/{self.entry(index)['dataset']}/index/{index}/{name}"

    def in_shards(self, wanted=True):
        """Pattern of the names of indexes that are built in shards, or of all others."""
        entries = self.config["indexes"].items()
        names = [name for name, given in entries if ("shards" in given) == wanted]
        return "|".join(names) or "(?!)"  # which no name fits

    def shards(self, index):
        """{name of a shard: {source: article}}, for each shard that has documents, in their order.

        A hash of its name decides which shard a document belongs to, so its text and the other
        documents do not matter.
        """
        if index not in self._shards:
            given, found = self.entry(index), {}
            count, dataset = given["shards"], given["dataset"]
            articles, sources = self.datasets.articles(dataset), self.datasets.sources(dataset)
            for source, article in zip(sources, articles, strict=True):
                name = f"{shard_of(source, count):0{len(str(count - 1))}d}-of-{count}"
                found.setdefault(name, {})[source] = article
            self._shards[index] = {name: found[name] for name in sorted(found)}
        return self._shards[index]

    def shard(self, index, shard, name):
        """A file of one shard, such as `chunks.jsonl`."""
        return self.file(index, f"shards/{shard}/{name}")

    def each_shard(self, index, name):
        """A file of each shard, in their order."""
        return [self.shard(index, shard, name) for shard in self.shards(index)]

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
        """The search by words, or an empty list where only vectors are searched.

        In shards, it is a list: the share of words in a fusion, and the words of each shard.
        """
        given = self.entry(index)
        if "bm25" not in given["search"]:
            return []
        if "shards" in given:
            return [self.file(index, "bm25.json"), *self.each_shard(index, "bm25.zip")]
        return self.file(index, "bm25.zip")

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
            "store": self.stores(index),
            "settings": self.file(index, "embeddings.json"),
            "encoder": self.encoder(index),
            "shift": self.shift(index),
            "words": self.words(index),
            "reranker": self.reranker(index),
        }

    def stores(self, index):
        """The Chroma store of an index, or a list of those of its shards."""
        if "shards" in self.entry(index):
            return self.each_shard(index, "chroma.zip")
        return self.file(index, "chroma.zip")

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


def shard_of(source, count):
    """The number of the shard, from 0, that a document belongs to by its name."""
    return int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") % count
