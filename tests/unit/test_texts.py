"""What the workflow reads of a folder of texts: every text in it, and nothing else in silence."""

import os
import socket

import pytest

from specialist.config.paths.datasets import Datasets
from specialist.config.texts import texts
from specialist.core.errors import UserError

SUFFIXES = (".md", ".txt")


@pytest.fixture
def kb(tmp_path):
    """The folder kb/ of a dataset, with texts in nested folders."""
    folder = tmp_path / "own" / "kb"
    for name in ("a.md", "B.MD", "faq/old/b.TXT", "faq/a.md", ".git/config", "faq/.DS_Store"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("Text.")
    return folder


def test_nested_texts_are_found_and_named_by_their_paths(kb):
    found = Datasets({"datasets": {"own": {"path": str(kb.parent)}}})
    assert found.sources("own") == ["B.MD", "a.md", "faq/a.md", "faq/old/b.TXT"]
    assert found.part("own", "kb") == [str(kb / source) for source in found.sources("own")]
    assert found.part("own", "corpus") == [] == texts(kb / "missing", SUFFIXES)


def test_links_inside_the_dataset_are_read(kb, tmp_path):
    (kb.parent / "notes.md").write_text("Text.")
    (kb / "notes.md").symlink_to(kb.parent / "notes.md")
    assert kb / "notes.md" in texts(kb, SUFFIXES)
    (tmp_path / "link").symlink_to(kb.parent)
    assert len(texts(tmp_path / "link" / "kb", SUFFIXES)) == 5


def pipe(folder):
    os.mkfifo(folder / "faq" / "pipe.md")


def listening(folder):
    opened = socket.socket(socket.AF_UNIX)
    opened.bind(os.path.relpath(folder / "s.md"))
    opened.close()


def secret(folder):
    (folder.parent.parent / "secret.md").write_text("Text.")
    (folder / "x.md").symlink_to("../../secret.md")


def unreadable_name(folder):
    open(os.fsencode(folder) + b"/caf\xe9.md", "w").close()


MISTAKES = [
    (pipe, "faq/pipe.md: found a named pipe, expected a file"),
    (listening, "s.md: found a socket, expected a file"),
    (lambda kb: (kb / "x.md").mkdir(), "x.md: this is a folder with the name of a text"),
    (lambda kb: (kb / "x.md").symlink_to("/etc/hostname"), "x.md: this link leads out of the"),
    (secret, "x.md: this link leads out of the dataset, to .*secret.md"),
    (lambda kb: (kb / "x").symlink_to("faq"), "kb/x: this is a link to a folder"),
    (lambda kb: (kb / "x.md").symlink_to("gone"), "x.md: No such file"),
    (lambda kb: (kb / "x.md").symlink_to("x.md"), "x.md: Too many levels"),
    (unreadable_name, r"xe9.md': the name is not UTF-8 or holds a control character"),
    (lambda kb: (kb / "two\nlines.md").touch(), r"two\\nlines.md': the name is not UTF-8 or holds"),
    (lambda kb: (kb / "{x}.md").touch(), "x}.md: the name holds a brace"),
    (lambda kb: (kb / "{x}").mkdir(), "x}: the name holds a brace"),
    (lambda kb: (kb / "faq" / "x.pdf").touch(), r"faq/x.pdf: expected one of \*.md, \*.txt"),
]


@pytest.mark.parametrize(("spoil", "message"), MISTAKES)
def test_what_is_no_text_is_refused_by_name(kb, spoil, message):
    spoil(kb)
    with pytest.raises(UserError, match=message):
        texts(kb, SUFFIXES)


def test_folder_that_is_a_link_out_of_the_dataset_is_refused(kb, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kb").symlink_to(kb)
    with pytest.raises(UserError, match="other/kb: this link leads out of the dataset"):
        texts(tmp_path / "other" / "kb", SUFFIXES)
