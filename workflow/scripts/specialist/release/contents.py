"""Reads the files of a release. A damaged file gives a message that names it."""

import contextlib
import json

from specialist.core.errors import UserError
from specialist.core.patterns import problem
from specialist.core.schema_errors import explain

SETTINGS = "release.json"
TOOLS, DATABASE, INDEX = "tools.yaml", "database.sql", "index"
PAGE = "page"  # folder of the page for talking to the specialist
PAGE_FILES = {
    "chat.html": "text/html",
    "chat.css": "text/css",
    "chat.js": "text/javascript",
    "chat_parts.js": "text/javascript",
}
REMEDY = "`python verify.py` in the release names every damaged file; copy the release again"

_COUNT = {"type": "integer", "minimum": 1}
_TEXT = {"type": "string"}
_GUARD = {
    "type": "object",
    "required": ["sql", "otherwise"],
    "properties": {"sql": _TEXT, "otherwise": _TEXT},
}
_PATTERN = {"type": "string", "format": "re2"}
_YES = {"type": "object", "required": ["yes"], "properties": {"yes": _PATTERN}}
TOOLS_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "description", "parameters", "returns"],
        "properties": {
            "name": _TEXT,
            "description": _TEXT,
            "parameters": {"type": "object"},
            "returns": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]},
            "require": {"type": "array", "items": _GUARD},
            "confirm": {"anyOf": [{"const": True}, _YES]},
            "said": {"type": "array", "items": _TEXT},
            "claims": {"type": "array", "items": _PATTERN},
            "fallback": {
                "type": "object",
                "required": ["arguments", "answer"],
                "properties": {"arguments": {"type": "object"}, "answer": _TEXT},
            },
        },
    },
}
SETTINGS_SCHEMA = {
    "type": "object",
    "required": [
        "name", "max_steps", "context", "max_new_tokens", "top_k", "rules", "parts", "session",
        "examples",
    ],
    "properties": {
        "name": _TEXT,
        "max_steps": _COUNT,
        "context": _COUNT,
        "max_new_tokens": _COUNT,
        "top_k": _COUNT,
        "rules": {"type": "boolean"},
        "parts": {"type": "array", "items": {"type": "string", "enum": [TOOLS, DATABASE, INDEX]}},
        "notice": _TEXT,
        "search": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "dense": {"type": "boolean"},
                "bm25": {"type": "boolean"},
                "sentences": {"type": "boolean"},
                "articles": {"type": "boolean"},
                "reranker": {"type": "null"},
            },
        },
        "session": {"type": "object"},
        "examples": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["message", "session"],
                "properties": {"message": _TEXT, "session": {"type": "object"}},
            },
        },
    },
}  # fmt: skip


@contextlib.contextmanager
def reading(path):
    """Turn any error inside the block into a `UserError` that names the file `path`."""
    try:
        if not path.exists():
            raise UserError(f"{path}: missing; {REMEDY}")
        yield
    except UserError:
        raise
    except Exception as error:  # a damaged file can raise anything in the library that reads it
        what = str(error)[:300] or type(error).__name__
        raise UserError(f"{path}: cannot be used: {what}; {REMEDY}") from error


def read_settings(folder):
    """The settings of a release, which make_release wrote.

    Returns:
        dict: "name", the agent's limits, "parts" (those of `TOOLS`, `DATABASE` and `INDEX` that
        the release has), "session", "examples", and perhaps "notice" (a warning to show).

    Raises:
        UserError: the folder is no release, or the file is damaged.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise UserError(f"{folder}: found no {SETTINGS}; name the folder of a release")
    with reading(path):
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        _check(path, found, SETTINGS_SCHEMA)
    return found


def read_tools(path):
    """The entries of a tools.yaml.

    Raises:
        UserError: it is damaged.
    """
    import yaml

    from specialist.core.json_schema import check_schema, pattern_problems

    with reading(path):
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        _check(path, found, TOOLS_SCHEMA)
        for tool in found:
            check_schema(tool["parameters"])
            for _, text in pattern_problems(tool["parameters"]):
                raise ValueError(text)
    return found


def read_page(folder):
    """{name: (bytes, media type)} of the files of a release's page.

    Raises:
        UserError: one is missing.
    """
    found = {}
    for name, kind in PAGE_FILES.items():
        path = folder / PAGE / name
        with reading(path):
            found[name] = path.read_bytes(), kind
    return found


def _check(path, value, schema):
    from jsonschema import Draft202012Validator, FormatChecker

    formats = FormatChecker(())
    formats.checks("re2")(lambda text: not isinstance(text, str) or problem(text) is None)
    for error in Draft202012Validator(schema, format_checker=formats).iter_errors(value):
        place, text = next(iter(explain(error)))
        where = ".".join(map(str, place))
        raise UserError(f"{path}: {where + ': ' if where else ''}{text[:300]}; {REMEDY}")


def _refuse(constant):
    raise ValueError(f"found {constant}, expected a finite number")


def open_index(folder, top_k, how=None):
    """Search over the canonical index of a release, exact and without a vector store.

    Args:
        folder: holds chunks.jsonl, embeddings.npy, embeddings.json, encoder.gguf, and
            shift.npy if the index learned from conversations, and bm25.zip if it searches words.
        top_k: number of chunks that a search returns.
        how: dict of how the index is searched; see `specialist.rag.ranking.How`.

    Raises:
        UserError: a file is missing or damaged, or the files do not fit each other.
    """
    from specialist.rag.index_files import Chunks
    from specialist.rag.retrieval import ExactSearcher

    with reading(folder / "chunks.jsonl"):
        for _ in Chunks(folder / "chunks.jsonl"):  # a search would find the damage too late
            pass
    names = ("chunks.jsonl", "embeddings.npy", "embeddings.json", "encoder.gguf")
    optional = (folder / "shift.npy", folder / "bm25.zip")
    learned = [path if path.exists() else None for path in optional]
    with reading(folder):
        return ExactSearcher(
            *(folder / name for name in names), *learned, how=how or {}, top_k=top_k
        )
