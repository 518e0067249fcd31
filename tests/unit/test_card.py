"""The model card: it speaks of what the release holds, and of no more."""

import json
from pathlib import Path

import pytest

from specialist.release.standing import notice

TEMPLATE = Path(__file__).resolve().parents[2] / "workflow/report/card.md.jinja"
SCORES = {
    "n": 50, "success": 30, "turns_on_kb": {"n": 0, "success": 0}, "finished_rate": 1.0,
    "failures": {"wrong_answer": 20}, "conversations": None, "harm": {"examples": []},
    "tasks": {"n": 50, "success": 30, "harm_per_100": 0.0},
}  # fmt: skip
FIGURES = {
    "pretraining": {"parameters": 4_000_000, "tokens": 1000},
    "training": {"conversations": 9, "trainable_parameters": 100},
    "measures": {
        "bytes": 1e6, "bits_per_weight": 4.5, "ratio_to_f16": 0.3, "perplexity": 5.0,
        "f16_perplexity": 4.9, "kl_mean": 0.01, "same_top_token": 0.98,
        "stored": {"Q5_0": 12, "Q8_0": 3},
    },
    "retrieval": {"n": 9, "recall_at_1": 0.9, "recall_at_3": 1.0, "mrr": 0.95},
    "leakage": {"n_leaking": 0},
    "corpus": {"train": 12},
    "sft": {},
}  # fmt: skip
PARTS = {
    "base": {"name": "small", "dataset": "letters"},
    "adapter": {
        "name": "lora", "method": "lora", "rank": 8, "target_modules": "all-linear",
        "dataset": "letters",
    },
    "quantization": "Q4_K_M",
}  # fmt: skip
OF_AGENTS = ("tool", "handbook", "search", "database", "account", "embedding", "customer")


@pytest.fixture
def card(tmp_path):
    """A function from parts and scores to the text of a card."""

    def made(
        scores=SCORES, baselines=None, data_license="", source_facts=None, general=None, **parts
    ):
        from write_card import write_card

        given = FIGURES | {"source_facts": source_facts, **(general or {})}
        for name, figures in (given | {"scores": scores}).items():
            (tmp_path / f"{name}.json").write_text(json.dumps(figures))
        paths = {name: tmp_path / f"{name}.json" for name in given}
        paths |= dict.fromkeys(() if general else ("base_general", "general"), [])
        if source_facts is None:
            paths["source_facts"] = []
        if not parts["embedding"]:
            paths["retrieval"] = []
        others = []
        for name, figures in (baselines or {}).items():
            others.append(tmp_path / name / "scores.json")
            others[-1].parent.mkdir()
            others[-1].write_text(json.dumps(figures))
        write_card(
            TEMPLATE, tmp_path / "scores.json", others, card=tmp_path / "README.md",
            name="letters-lora", license="mit", data_license=data_license, language="en",
            author="", dataset="letters", source="the files of the folder letters",
            parts=PARTS | parts, **paths,
        )  # fmt: skip
        return (tmp_path / "README.md").read_text()

    return made


def test_classifier(card):
    text = card(tools=False, database=False, embedding=None, data_license="cc-by-4.0")
    assert not [word for word in OF_AGENTS if word in text.lower()]
    assert "judged by facts in the answer, it solves **60.0 %**" in text
    assert "the files of the folder letters; licence: cc-by-4.0." in text
    assert "A model from scratch of this size is a demonstration" in text
    assert "The training data: cc-by-4.0." in text and "WARNING" not in text


def test_agent(card):
    text = card(tools=True, database=True, embedding="package:mini")
    assert "it thinks in one line, calls a tool or searches its handbook, reads" in text
    assert "the model alone, without tools and search" in text
    assert "judged by the end state of the database and by facts" in text
    assert "the embedding model package:mini" in text and "`database.sql`" in text
    assert "The training data: not stated." in text
    assert "| one message | 50 | 60.0 % | 0.00 |" in text and "measured on single" in text


def test_conversations_and_harm(card):
    talks = {
        "n": 20, "success": 10, "harm_per_100": 2.5, "requests": {"n": 44, "success": 33},
        "pass_hat_k": {"1": 0.5, "2": 0.4, "3": 0.3, "4": None}, "unnecessary_questions": 7,
        "turns_mean": 6.25,
    }  # fmt: skip
    harm = {"examples": [{"task": "t1", "kind": "false_claim", "text": "I have refunded it."}]}
    scores = SCORES | {"conversations": talks, "harm": harm}
    text = card(scores=scores, tools=True, database=True, embedding=None)
    assert "| one message | 50 | 60.0 % | 0.00 |\n| conversations | 20 | 50.0 % | 2.50 |" in text
    assert "- false claim: I have refunded it." in text
    assert "33 of 44 requests" in text and "asked 7 times" in text and "6.2 turns" in text
    assert "conversation 3 times out of 3" in text and "with the chance 30.0 %" in text
    assert "measured on single requests" not in text


def test_base_from_a_gguf(card):
    facts = {
        "file": "small.Q4_1.gguf", "sha256": "ab" * 32, "name": "Small", "license": "apache-2.0",
        "bits_per_weight": 5.66, "types": {"Q4_1": 210, "Q8_0": 1},
    }  # fmt: skip
    base = {"name": "own", "package": "small_package", "dataset": "letters"}
    text = card(source_facts=facts, base=base, tools=False, database=False, embedding=None)
    assert (
        "Base: own, Small from the GGUF small.Q4_1.gguf of the package small_package (SHA" in text
    )
    assert "with 5.66 bits per weight (210 matrices in Q4_1, 1 matrices in Q8_0)" in text
    assert "Its licence, apache-2.0, applies to this model too." in text
    assert "| Matrices by type | 12 in Q5_0, 3 in Q8_0 |" in text
    assert "demonstration" not in text


def test_general_language(card):
    parts = {"tools": False, "database": False, "embedding": None}
    general = {"base_general": {"bits_per_byte": 0.8}, "general": {"bits_per_byte": 1.0}}
    row = "bits per byte: the base, and this model | 0.800, 1.000 (+25.0 %) |\n"
    assert row in card(general=general, **parts)
    assert "General text" not in card(**parts)


def test_search_alone(card):
    text = card(tools=False, database=False, embedding="package:mini")
    assert "it thinks in one line, searches its handbook, reads" in text
    assert "the model alone, without search" in text and "database.sql" not in text


def test_warning_is_the_first_thing_in_the_card(card):
    baselines = {"random": {"success": 2, "n": 50}, "base-f16": {"success": 31, "n": 50}}
    text = card(baselines=baselines, tools=True, database=True, embedding=None)
    first = text.split("\n# letters-lora\n")[1].strip().splitlines()[0]
    assert first == (
        "> **WARNING: this model solves 30 of 50 held-out cases, no more than the baseline "
        "base-f16 (31 of 50). Do not use it.**"
    )


@pytest.mark.parametrize(
    ("solved", "others", "warned"),
    [
        (0, {}, True), (1, {}, False), (9, {"random": 8}, False), (9, {"random": 9}, True),
        (50, {"base": 50}, False),
    ],
)  # fmt: skip
def test_what_is_warned_of(solved, others, warned):
    baselines = {name: {"success": count, "n": 50} for name, count in others.items()}
    assert bool(notice({"success": solved, "n": 50}, baselines)) == warned
