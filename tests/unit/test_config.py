"""The configuration: what is filled in, and that every kind of mistake is named by its place."""

import copy
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from document_config import HEAD, README, SCHEMA, document, editors_schema
from specialist.config.load import load
from specialist.config.schema import schema
from specialist.config.settings.bases import SMALL_BLOCKS
from specialist.config.settings.fields import llama_type
from specialist.core.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
GONE = object()
TEXT = {"url": "https://example.org/text.txt", "sha256": "0" * 64}


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch):
    monkeypatch.chdir(ROOT)  # folders in the configuration are relative to it


def changed(changes):
    """The shipped configuration with values set, or removed, at dotted places."""
    config = copy.deepcopy(DEFAULT)
    for place, value in changes.items():
        *parents, key = place.split("/")
        entry = config
        for parent in parents:
            entry = entry.setdefault(parent, {})
        if value is GONE:
            del entry[key]
        else:
            entry[key] = value
    return config


def mistakes(changes):
    """The lines of the message that a changed configuration is refused with, by place."""
    with pytest.raises(UserError) as refused:
        load(changed(changes))
    head, *lines = str(refused.value).split("\n")
    assert head == f"config: {len(lines)} mistake(s)"
    return dict(line.strip().split(": ", 1) for line in lines)


def test_shipped_configuration_is_complete_and_stable():
    config = load(DEFAULT)
    assert config["seeds"] == dict.fromkeys(("simulate", "prepare", "pretrain", "lora", "agent"), 1)
    assert config["bases"]["small"]["precision"] == "auto"
    assert config["adapters"]["lora-r16"]["dropout"] == 0
    assert config["indexes"]["minilm"]["overlap_words"] == 0
    assert load(config) == config


def test_input_is_not_changed():
    config = changed({})
    load(config)
    assert config == DEFAULT


def test_dataset_is_inherited_unless_named():
    config = load(
        changed(
            {
                "dataset": "mine",
                "datasets/mine": {"path": "tests"},
                "adapters/lora-r16/dataset": "food-delivery",
            }
        )
    )
    assert config["bases"]["small"]["dataset"] == "mine"
    assert config["indexes"]["minilm"]["dataset"] == "mine"
    assert config["adapters"]["lora-r16"]["dataset"] == "food-delivery"


def test_quantization_of_a_model_is_f16_unless_named():
    config = load(changed({"systems/plain": {"base": "small"}}))
    assert config["systems"]["plain"]["quantization"] == "F16"
    assert "quantization" not in config["systems"]["random"]


def test_null_removes_a_key_at_every_level():
    config = load(
        changed({"systems/random/index": None, "adapters/lora-r16/rank": None, "agent": None})
    )
    assert "index" not in config["systems"]["random"]
    assert config["adapters"]["lora-r16"]["rank"] == 16 and config["agent"]["context"] == 1024


def test_ten_thousand_adapters_load_in_a_moment():
    entries = {f"lora-{i}": {"base": "small", "rank": i % 64 + 1} for i in range(10_000)}
    config = changed({"adapters": DEFAULT["adapters"] | entries})
    begin = time.process_time()
    loaded = load(config)
    loading = time.process_time() - begin
    assert len(loaded["adapters"]) == 10_001
    assert loading < 1.5  # 0.2 s on an idle core; anything quadratic takes minutes


def test_a_mistake_in_each_of_many_entries_is_listed_up_to_a_limit():
    entries = {f"lora-{i}": {"base": "smal"} for i in range(2000)}
    with pytest.raises(UserError) as refused:
        load(changed({"adapters": DEFAULT["adapters"] | entries}))
    head, *lines = str(refused.value).split("\n")
    assert head == "config: 2000 mistake(s)" and len(lines) == 51
    assert lines[-1].strip() == "... and 1950 more"


def test_null_removes_an_entry():
    assert "random" not in load(changed({"systems/random": None}))["systems"]
    assert "adapters.lora-r16" not in mistakes({"adapters/lora-r16": None})
    assert "systems.lora-q4.adapter" in mistakes({"adapters/lora-r16": None})


# place of the mistake, the change that makes it, and what the message must hold
MISTAKES = [
    # unknown keys, at every level
    ("retreival", {"retreival": {}}, "unknown key", "did you mean retrieval?"),
    ("bases.small.deth", {"bases/small/deth": 4}, "unknown key", "did you mean depth?"),
    ("adapters.lora-r16.rnk", {"adapters/lora-r16/rnk": 8}, "did you mean rank?"),
    ("datasets.food-delivery.simulated", {"datasets/food-delivery/simulated": "x"}, "simulate?"),
    ("indexes.minilm.embeding", {"indexes/minilm/embeding": "x"}, "did you mean embedding?"),
    ("systems.oracle.polcy", {"systems/oracle/polcy": "random"}, "did you mean policy?"),
    ("retrieval.topk", {"retrieval/topk": 1}, "did you mean top_k?"),
    ("agent.max_step", {"agent/max_step": 1}, "did you mean max_steps?"),
    ("seeds.lore", {"seeds/lore": 1}, "did you mean lora?"),
    # missing
    ("headline", {"headline": GONE}, "is missing"),
    ("adapters.lora-r16.base", {"adapters/lora-r16/base": GONE}, "is missing"),
    # types and bounds
    ("bases.small", {"bases/small": 4}, "found 4, expected group of keys"),
    ("bases.small.depth", {"bases/small/depth": "four"}, 'found "four", expected whole number'),
    ("bases.small.depth", {"bases/small/depth": True}, "found true, expected whole number"),
    ("bases.small.depth", {"bases/small/depth": 0}, "found 0", "at least 1"),
    ("adapters.lora-r16.rank", {"adapters/lora-r16/rank": 0}, "at least 1"),
    ("indexes.minilm.shards", {"indexes/minilm/shards": 1}, "found 1", "at least 2"),
    ("adapters.lora-r16.dropout", {"adapters/lora-r16/dropout": 1}, "below 1"),
    ("adapters.lora-r16.learning_rate", {"adapters/lora-r16/learning_rate": 0}, "above 0"),
    ("adapters.lora-r16.learning_rate", {"adapters/lora-r16/learning_rate": "1e-3"}, "write 0.001"),
    ("bases.small.precision", {"bases/small/precision": "bf61"}, "one of auto", "mean bf16?"),
    ("seeds.lora", {"seeds/lora": -1}, "found -1"),
    ("quantizations.0", {"quantizations": ["Q4_KM", "Q4_K_M"]}, "one of Q8_0", "mean Q4_K_M?"),
    ("quantizations", {"quantizations": ["Q4_K_M", "Q4_K_M"]}, "each item once"),
    ("indexes.minilm.embedding", {"indexes/minilm/embedding": "MiniLM"}, "of the form"),
    ("adapters.lora-r16.target_modules", {"adapters/lora-r16/target_modules": "all"}, "all-linear"),
    (
        "adapters.lora-r16.target_modules.1",
        {"adapters/lora-r16/target_modules": ["q_proj", "v_prj"]},
        "did you mean v_proj?",
    ),
    ("adapters.lora-r16.method", {"adapters/lora-r16/method": "qlra"}, "mean qlora?"),
    ("adapters.lora-r16.dpo.betta", {"adapters/lora-r16/dpo": {"betta": 1}}, "mean beta?"),
    # numbers that are none
    ("adapters.lora-r16.alpha", {"adapters/lora-r16/alpha": float("nan")}, "found NaN", "finite"),
    ("adapters.lora-r16.epochs", {"adapters/lora-r16/epochs": float("inf")}, "and finite"),
    ("retrieval.top_k", {"retrieval/top_k": float("inf")}, "found Infinity", "whole number"),
    ("retrieval.top_k", {"retrieval/top_k": 10**12}, "at most 100"),
    # names
    ("adapters.{x}", {"adapters/{x}": {"base": "small"}}, "found this as a name"),
    ("adapters.a.", {"adapters/a.": {"base": "small"}}, "found this as a name"),
    ("adapters.Con.x", {"adapters/Con.x": {"base": "small"}}, "not a file name on Windows"),
    ("adapters.small", {"adapters/small": {"base": "small"}}, "is a name in bases too"),
    ("datasets.paper", {"datasets/paper": {"path": "tests"}}, "results/paper is not a dataset's"),
    ("adapters.rank 8", {"adapters/rank 8": {"base": "small"}}, "found this as a name"),
    ("systems.7", {"systems": {**DEFAULT["systems"], 7: {"policy": "random"}}}, "in quotes"),
    ("bases.Small", {"bases/Small": {}}, "differs from small in case alone"),
    ("datasets.x.tasks", {"datasets/x": {"path": "tests", "tasks": 9}}, "simulated", "remove it"),
    (
        "datasets.food-delivery.sayings",
        {"datasets/food-delivery/sayings": "indirekt"},
        "one of heldout, indirect",
        "did you mean indirect?",
    ),
    ("datasets.x.columns.mesages", {"datasets/x": {"path": "tests", "columns": {"mesages": "a"}}}),
    # references
    ("dataset", {"dataset": "food-delivry"}, "found food-delivry", "did you mean food-delivery?"),
    ("headline", {"headline": "lora-q5"}, "expected one of oracle", "did you mean lora-q4?"),
    ("bases.small.dataset", {"bases/small/dataset": "food"}, "did you mean food-delivery?"),
    ("adapters.lora-r16.base", {"adapters/lora-r16/base": "smal"}, "found smal", "mean small?"),
    ("indexes.minilm.dataset", {"indexes/minilm/dataset": "x"}, "one of food-delivery"),
    ("systems.base-f16.base", {"systems/base-f16/base": "smol"}, "did you mean small?"),
    ("systems.lora-q4.adapter", {"systems/lora-q4/adapter": "lora-r61"}, "mean lora-r16?"),
    ("systems.random.index", {"systems/random/index": "minlm"}, "did you mean minilm?"),
    (
        "systems.lora-q4.quantization",
        {"systems/lora-q4/quantization": "Q4_K"},
        "one of F16, Q8_0, Q4_K_M",
        "did you mean Q4_K_M?",
    ),
    # contradictions
    (
        "adapters.full.dpo",
        {"adapters/full": {"base": "small", "method": "full", "dpo": {}}},
        "needs an adapter",
    ),
    ("systems.x", {"systems/x": {"index": "minilm"}}, "found none, expected one of policy"),
    ("systems.oracle", {"systems/oracle/base": "small"}, "found policy and base"),
    ("systems.random.quantization", {"systems/random/quantization": "F16"}, "no model"),
    ("datasets.x", {"datasets/x": {}}, "found none, expected one of simulate, path, corpus"),
    ("datasets.x", {"datasets/x": {"path": "tests", "corpus": TEXT}}, "found path and corpus"),
    ("datasets.x.episodes", {"datasets/x": {"corpus": TEXT, "episodes": 9}}, "simulated"),
    (
        "datasets.x.corpus.path",
        {"datasets/x": {"corpus": TEXT | {"path": "gone.txt"}}},
        "found gone.txt, expected a file that exists",
        "remove it to have the file fetched",
    ),
    ("datasets.x.corpus.sha256", {"datasets/x": {"corpus": TEXT | {"sha256": "A"}}}, "of the form"),
    ("datasets.x.corpus.url", {"datasets/x": {"corpus": TEXT | {"url": "a.txt"}}}, "of the form"),
    (
        "papers.p.benchmarks.0",
        {"paper": "p", "papers/p": {"seeds": [1, 2], "benchmarks": ["x"]}},
        "found x",
    ),
    ("datasets.x.path", {"datasets/x": {"path": "test"}}, "folder", "did you mean tests?"),
    (
        "datasets.food-delivery.columns",
        {"datasets/food-delivery/columns": {"prompt": "question"}},
        "only for files under path",
    ),
    ("bases.small.batch_tokens", {"bases/small/batch_tokens": 128}, "at least sequence"),
    ("adapters.lora-r16.max_length", {"adapters/lora-r16/max_length": 9999}, "context of its base"),
    ("indexes.minilm.overlap_words", {"indexes/minilm/overlap_words": 120}, "less than max_words"),
    ("agent.context", {"agent/context": 9999}, "at most the context of small"),
    ("agent.max_new_tokens", {"agent/max_new_tokens": 1024}, "less than context"),
]


@pytest.mark.parametrize(("place", "change", "parts"), [(p, c, t) for p, c, *t in MISTAKES])
def test_mistake_is_named(place, change, parts):
    found = mistakes(change)
    assert list(found) == [place]
    assert all(part in found[place] for part in parts), found[place]


def test_empty_section_is_named_before_what_refers_to_it():
    found = mistakes({"bases": {}})
    assert found["bases"] == "found {}, expected entries by name, at least 1"
    assert "nothing, as there is none" in found["adapters.lora-r16.base"]


def test_all_mistakes_are_reported_at_once():
    found = mistakes(
        {
            "retreival": {},
            "bases/small/depth": "four",
            "adapters/lora-r16/base": "smal",
            "agent/max_new_tokens": 5000,
            "headline": "x",
        }
    )
    assert list(found) == [
        "adapters.lora-r16.base",
        "agent.max_new_tokens",
        "bases.small.depth",
        "headline",
        "retreival",
    ]


def test_sizes_that_a_quantization_cannot_store_are_refused(monkeypatch):
    from specialist.core import shape as model_shape

    def shape(depth, vocab_size):
        return {"hidden_size": 64 * depth, "intermediate_size": 192 * depth}

    monkeypatch.setattr(model_shape, "shape", shape)
    found = mistakes({"bases/small/depth": 3, "strict_quantization": True})
    assert list(found) == ["bases.small.depth"]
    assert (
        "found 3, which gives hidden_size 192 and intermediate_size 576"
        in found["bases.small.depth"]
    )
    assert "Q4_K_M takes multiples of 256; the nearest depth is 4" in found["bases.small.depth"]
    only_q8 = {name: None for name in DEFAULT["systems"] if name.startswith("lora-q4")}
    changes = {f"systems/{name}": None for name in only_q8}
    load(
        changed(
            {
                **changes,
                "bases/small/depth": 3,
                "quantizations": ["Q8_0"],
                "headline": "oracle",
                "strict_quantization": True,
            }
        )
    )


def test_quantizations_are_those_of_llama_cpp():
    from specialist.gguf.info import quantizations

    known = quantizations()
    names = schema()["properties"]["quantizations"]["items"]["enum"]
    assert "Q4_K_M_IMATRIX" in names and "IQ2_XS" not in names
    offered = set(map(llama_type, names))
    assert offered <= set(known)
    assert {name for name in offered if known[name][1] == 32} == SMALL_BLOCKS
    assert {known[name][1] for name in offered} == {32, 256}


def test_what_is_generated_is_up_to_date():
    assert README.read_text(encoding="utf-8") == document(schema())
    assert SCHEMA.read_text(encoding="utf-8") == editors_schema()


def test_overlay_in_the_readme_is_valid():
    example = "\n".join(line for line in HEAD.split("\n") if line.startswith(" " * 6))
    overlay = yaml.safe_load(example)
    overlay["datasets"]["my-shop"]["path"] = "tests"
    for section, value in overlay.items():
        if isinstance(value, dict):
            overlay[section] = {**DEFAULT[section], **value}
    config = load({**DEFAULT, **overlay})
    assert config["bases"]["small"]["dataset"] == "my-shop"
    assert "lora-r8-q4" in config["systems"]


def test_every_key_has_a_meaning():
    def keys(part, place=()):
        for key, child in part.get("properties", {}).items():
            yield (*place, key), child
            yield from keys(child, (*place, key))
            if isinstance(child.get("additionalProperties"), dict):
                yield from keys(child["additionalProperties"], (*place, key, "NAME"))

    for place, part in keys(schema()):
        assert part.get("description", "").endswith("."), place
        if part.get("type") == "object":
            assert part["additionalProperties"] is not True, place


def test_reading_the_configuration_imports_nothing_heavy():
    heavy = "{'torch', 'pandas', 'numpy', 'transformers', 'gguf', 'chromadb'}"
    code = (
        "import sys, yaml; sys.path.insert(0, 'workflow/scripts'); "
        "from specialist.config.load import load; "
        "load(yaml.safe_load(open('config/config.yaml'))); "
        f"print({heavy} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_general_text_is_checked(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}")
    found = mistakes(
        {
            "forgetting": {"text": str(rows)},
            "adapters/lora-r16/general_text": "nowhere.txt",
            "adapters/lora-r16/mix_general": 0.95,
        }
    )
    assert found == {
        "forgetting.text": f"found {rows}, expected plain text in a file with .txt or .md",
        "adapters.lora-r16.general_text": "found nowhere.txt, expected a file that exists",
        "adapters.lora-r16.mix_general": "found 0.95, expected number, at least 0, at most 0.9",
    }
    [(place, text)] = mistakes({"adapters/lora-r16/general_text": "README.md"}).items()
    assert place == "adapters.lora-r16.general_text" and "only for an adapter with mix" in text
