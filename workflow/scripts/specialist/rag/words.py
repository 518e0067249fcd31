"""Search by words: BM25 (Robertson and Zaragoza, 2009) with bm25s, in addition to the vectors."""

import json
import re
import tempfile
import unicodedata
import zipfile
from pathlib import Path

from specialist.core.errors import UserError
from specialist.rag.index_files import REMEDY, embedded_text

EQUAL = 0.5  # share of BM25 in a fusion where no conversation says which search is better
KEPT = "kept.json"
# Scripts without blanks between words: Thai to Khmer, kana, Chinese, Korean.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
TERM = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}]+")


def terms(text):
    """The terms of a text: its words in lower case; in scripts without blanks, pairs of letters."""
    found = []
    for term in TERM.findall(unicodedata.normalize("NFKC", text).casefold()):
        pairs = [term[i : i + 2] for i in range(len(term) - 1)]
        found += pairs if pairs and re.match(f"[{UNSPACED}]", term) else [term]
    return found


def indexed(records):
    """(BM25 of some chunks, their ids).

    Left to itself, bm25s numbers the terms in the order of a set, which differs between processes.
    Here a term has the number of its first place.
    """
    import bm25s

    model, vocabulary, ids, texts = bm25s.BM25(), {"": 0}, [], []
    for record in records:
        ids.append(record["id"])
        found = terms(embedded_text(record))
        texts.append([vocabulary.setdefault(term, len(vocabulary)) for term in found])
    model.index((texts, vocabulary), show_progress=False)
    return model, ids


class Words:
    """Ranks chunks by the words that they share with a query.

    Args:
        model: `bm25s.BM25` with an index.
        ids: ids of its chunks.
        share: share of BM25 in a fusion with vectors, from 0 to 1.
    """

    def __init__(self, model, ids, share=EQUAL):
        self._model, self.ids, self.share = model, ids, share

    @classmethod
    def of(cls, records, share=EQUAL):
        """The index of some chunks."""
        return cls(*indexed(records), share)

    @classmethod
    def open(cls, path):
        """The index in a file of `save`.

        Raises:
            UserError: the file is damaged.
        """
        import bm25s

        try:
            with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
                kept = json.loads(Path(folder, KEPT).read_text(encoding="utf-8"))
                model = bm25s.BM25.load(folder, show_progress=False)
                return cls(model, kept["ids"], kept["share"])
        except (zipfile.BadZipFile, ValueError, EOFError, LookupError, OSError) as error:
            if isinstance(error, FileNotFoundError) and not Path(path).exists():
                raise
            raise UserError(f"{path}: the index of words is damaged; {REMEDY}") from None

    def save(self, path):
        """Write the index to a zip, with the same bytes for the same chunks."""
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w") as archive:
            self._model.save(folder, show_progress=False)
            kept = {"ids": self.ids, "share": self.share}
            Path(folder, KEPT).write_text(json.dumps(kept), encoding="utf-8")
            for file in sorted(Path(folder).iterdir()):
                archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes())

    def search(self, query, count):
        """(numbers of the best chunks, best first; their scores); only chunks that share a term."""
        import numpy as np

        asked = [term for term in terms(query) if term in self._model.vocab_dict]
        if not asked:
            return [], []
        scores = self._model.get_scores(asked)
        best = np.argsort(-scores, kind="stable")[:count]
        best = best[scores[best] > 0]
        return best.tolist(), scores[best].tolist()
