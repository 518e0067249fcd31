"""Fetching a text: it is the one that was meant, or nothing is written."""

import functools
import hashlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fetch_corpus import fetch_corpus
from split_corpus import split_corpus

from specialist.core.errors import UserError
from toy_dataset import read

TEXT = b"To be, or not to be:\nthat is the question.\n" * 40
SHA256 = hashlib.sha256(TEXT).hexdigest()
NOWHERE = "http://127.0.0.1:9/text.txt"


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, without a word; of cut.txt it sends less than it promises."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path != "/cut.txt":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT[:100])


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Address of a server that has text.txt."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "text.txt").write_bytes(TEXT)
    handler = functools.partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def corpus(tmp_path):
    """The file to write, alone in its folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "corpus.txt"


def test_text_is_fetched(address, corpus):
    fetch_corpus([], corpus, url=f"{address}/text.txt", sha256=SHA256)
    assert corpus.read_bytes() == TEXT
    assert list(corpus.parent.iterdir()) == [corpus]


def test_local_file_is_taken_and_nothing_is_asked_for(tmp_path, corpus):
    local = tmp_path / "mine.txt"
    local.write_bytes(TEXT)
    fetch_corpus(local, corpus, url=NOWHERE, sha256=SHA256)
    assert corpus.read_bytes() == local.read_bytes() == TEXT


REFUSED = {
    "another content": ("/text.txt", "0" * 64, "expected 0000", "set the new `sha256`"),
    "a part of it": ("/cut.txt", SHA256, "cut.txt: "),
    "no such file": ("/other.txt", SHA256, "404", "corpus: {path: ...}"),
}


@pytest.mark.parametrize(("name", "sha256", "parts"), [(n, s, t) for n, s, *t in REFUSED.values()],
                         ids=REFUSED)  # fmt: skip
def test_what_is_not_the_text_is_refused(address, corpus, name, sha256, parts):
    with pytest.raises(UserError) as refused:
        fetch_corpus([], corpus, url=address + name, sha256=sha256)
    assert all(part in str(refused.value) for part in [address + name, *parts])
    assert list(corpus.parent.iterdir()) == []


def test_server_that_does_not_answer(corpus):
    with pytest.raises(UserError, match=r"127.0.0.1:9/text.txt: cannot be read .*copy the file"):
        fetch_corpus([], corpus, url=NOWHERE, sha256=SHA256)
    assert list(corpus.parent.iterdir()) == []


def test_local_file_with_another_content(tmp_path, corpus):
    local = tmp_path / "mine.txt"
    local.write_bytes(TEXT[:-1])
    with pytest.raises(UserError, match="mine.txt: found a file of .*remove `path`"):
        fetch_corpus(local, corpus, url=NOWHERE, sha256=SHA256)
    assert list(corpus.parent.iterdir()) == []


def test_last_tenth_of_the_characters_is_held_out(tmp_path):
    text = "".join(chr(97 + i % 26) for i in range(995)) + "\n\n \u00e9"
    (tmp_path / "corpus.txt").write_text(text, encoding="utf-8")
    out = tmp_path / "train.jsonl", tmp_path / "validation.jsonl"
    split_corpus(tmp_path / "corpus.txt", *out, validation_share=0.1)
    assert [read(path) for path in out] == [[{"text": text[:899]}], [{"text": text[899:]}]]


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"\xff\xfe", "UTF-8"), (b"a <|im_end|> b", "marks of the chat template"), (b"a", "too few")],
)
def test_text_that_cannot_be_learned_is_refused(tmp_path, data, said):
    (tmp_path / "corpus.txt").write_bytes(data)
    out = tmp_path / "train.jsonl", tmp_path / "validation.jsonl"
    with pytest.raises(UserError, match=said):
        split_corpus(tmp_path / "corpus.txt", *out, validation_share=0.1)
    assert not any(path.exists() for path in out)
