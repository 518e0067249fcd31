"""Datasets: simulated, a folder of files, or a text that is fetched."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from specialist.config.settings.fields import Settings, number
from specialist.config.settings.places import missing, unknown
from specialist.config.settings.synthesis import Synthesis

ROW_FIELDS = Literal[
    "messages", "conversations", "prompt", "completion", "instruction", "input", "output", "system"
]
TICKET_FIELDS = Literal["message", "messages", "reply", "subject", "thread", "sender"]
# Settings of simulated datasets alone.
SIMULATED = ("documents", "episodes", "dialogues", "tasks", "conversations", "sayings")


class Corpus(Settings):
    """What `fetch_corpus` fetches."""

    place: ClassVar = "datasets/{dataset}/corpus"
    url: str = Field(pattern="^https?://", description="URL of the text.")
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the file, in hexadecimal; a file with another hash is refused.",
    )


class LocalCorpus(Corpus):
    path: str | None = Field(
        None, description="The same file on this machine; used instead of `url`."
    )


class Tickets(Settings):
    """How the tickets of a dataset are read and divided."""

    columns: dict[TICKET_FIELDS, str] = Field(
        {}, description="Names of your columns, such as `message: body`; like `columns`."
    )
    agents: list[Annotated[str, Field(min_length=2)]] = Field(
        [],
        description="Names, addresses, or domains such as `@my-shop.example` of the people who "
        "answer. Without any, the first sender of a thread is its customer.",
    )
    held_out: number(ge=0, le=0.5) = Field(
        0.1, description="Share of the threads that is held out; with 0, all are in the corpus."
    )


class Dataset(Settings):
    simulate: str | None = Field(
        None, description="Folder of a spec; the dataset is simulated from it."
    )
    documents: int = Field(
        36000, ge=2, description="Documents in the corpus of a simulated dataset."
    )
    episodes: int = Field(
        2600, ge=2, description="Training episodes of one message of a simulated dataset."
    )
    dialogues: int = Field(
        0,
        ge=0,
        description="Training conversations of a simulated dataset, of the kinds in the spec's "
        "conversations.yaml. Each gives a training row for each message of the customer.",
    )
    tasks: int = Field(320, ge=1, description="Held-out tasks of one message.")
    conversations: int = Field(
        0,
        ge=0,
        description="Held-out tasks that are conversations, of the kinds in the spec's "
        "conversations.yaml.",
    )
    sayings: str = Field(
        "heldout",
        description="File of phrasings for the tasks of a simulated dataset: a name in the spec's "
        "sayings/, without .yaml. Topics that it lacks are those of heldout.yaml.",
    )
    path: str | None = Field(
        None,
        description="Folder of a dataset (corpus/, tickets/, sft.jsonl, kb/, tools.yaml, "
        "database.sql, tasks.jsonl), used unchanged. A part may be missing if nothing uses it.",
    )
    corpus: LocalCorpus | None = Field(
        None,
        description="A text to download; the dataset has no other part. The first nine tenths "
        "are for training, the rest is held out.",
    )
    columns: dict[ROW_FIELDS, str] = Field(
        {},
        description="Names of your columns, as `field: column in your file`, such as "
        "`prompt: question`.",
    )
    tickets: Tickets | None = Field(
        None, description="How the mails and tables in tickets/ are read and divided."
    )
    unreadable: Literal["refuse", "skip"] = Field(
        "refuse",
        description="What happens to a document in kb/ that cannot be read or holds no text, such "
        "as a scan or a file with a password, and to a mail or text in tickets/ that cannot be "
        "read: `skip` leaves it out and names it in the log.",
    )
    max_leaking_tasks: int = Field(
        0,
        ge=0,
        description="Number of tasks that may share eight consecutive words with the training "
        "data; identifiers and names do not count.",
    )
    synthesize: Synthesis | None = Field(
        None,
        description="Training conversations and tasks that a teacher writes from the articles. "
        "They are added to those of the dataset.",
    )


def check(config):
    """Yield (place, mistake) for the datasets of a configuration."""
    for name, entry in config.get("datasets", {}).items():
        place = ("datasets", name)
        given = [key for key in ("simulate", "path", "corpus") if key in entry]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            yield place, f"found {found}, expected one of simulate, path, corpus"
        local = entry.get("corpus", {}).get("path")
        if local and not Path(local).is_file():
            yield (
                (*place, "corpus", "path"),
                f"found {local}, expected a file that exists; correct it, or remove it to have "
                "the file fetched from url",
            )
        for key in {"simulate", "path"}.intersection(given):
            yield from missing((*place, key), Path(entry[key]))
        if "simulate" in given:
            sayings = Path(entry["simulate"]) / "sayings"
            names = sorted({path.stem for path in sayings.glob("*.yaml")} - {"train"})
            yield from unknown((*place, "sayings"), entry["sayings"], names)
            kinds = Path(entry["simulate"]) / "conversations.yaml"
            for key in ("dialogues", "conversations"):
                if entry[key] and not kinds.is_file():
                    yield (
                        (*place, key),
                        f"found {entry[key]}, but there is no {kinds}; set it to 0, or write the "
                        "kinds of conversation",
                    )
        if "path" not in given and entry["columns"]:
            yield (*place, "columns"), "is only for files under path; remove it"
        if "path" not in given and entry.get("tickets"):
            yield (*place, "tickets"), "is only for a folder under path; remove it"
        for key in SIMULATED:
            if "simulate" not in given and entry[key] != Dataset.model_fields[key].default:
                yield (*place, key), "is only for a simulated dataset; remove it"
