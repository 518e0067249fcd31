"""Bases that cannot be used are refused before anything is trained, with the place and the cure."""

import json
import shutil

import pytest
import yaml
from fetch_base import fetch_base
from safetensors.torch import load_file, save_file
from snakemake.utils import update_config

import families
from specialist.bases import imported as bases
from specialist.config.experiments import lay_out
from specialist.config.load import load
from specialist.core.errors import UserError
from specialist.core.model_files import SMALL_FILES
from specialist.train.adapters import check_targets
from test_families import take_over


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return families.save(tmp_path_factory.mktemp("original"), "qwen2")


@pytest.fixture
def folder(original, tmp_path):
    """A copy of a tiny Qwen2's folder, for a test to spoil."""
    return shutil.copytree(original, tmp_path / "model")


@pytest.fixture
def turns(resources):
    return sorted((resources / "prompts/turns").glob("*.jinja"))


def change(folder, name, **values):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def spoil(name, **values):
    return lambda folder: change(folder, name, **values)


def remove(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def truncated(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def without_layer(folder):
    path = folder / "model.safetensors"
    save_file({k: v for k, v in load_file(path).items() if "layers.1.mlp.up" not in k}, path)


def shard_missing(folder):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def other_split(folder):
    data = json.loads((folder / "tokenizer.json").read_text())
    data["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": r"\s+|\S+"}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    change(folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    # For a Qwen2 Transformers would put the family's own expression in its place.
    change(folder, "config.json", model_type="llama", architectures=["LlamaForCausalLM"])


USER_ONLY = (
    "{% for m in messages %}{% if m.role == 'user' %}<|im_start|>{{ m.content }}<|im_end|>"
    "{% endif %}{% endfor %}"
)
SPOILT = {
    "no tokenizer": (remove("tokenizer.json"), r"bases.own: .* has no tokenizer.json; write one"),
    "no config": (remove("config.json"), "has no config.json; give the folder of a model"),
    "broken config": (
        lambda folder: (folder / "config.json").write_text("{"),
        "config.json is not JSON",
    ),
    "vocabulary": (
        spoil("config.json", vocab_size=300),
        r"vocab_size: found 300, expected at least the \d+ tokens",
    ),
    "context": (spoil("config.json", max_position_embeddings=64), r"own.context: found 512, .* 64"),
    "quantised": (spoil("config.json", quantization_config={}), "weights that are not quantised"),
    "no template": (
        spoil("tokenizer_config.json", chat_template=None),
        "found no chat template; take the model that was tuned",
    ),
    "template": (
        spoil("tokenizer_config.json", chat_template=USER_ONLY),
        "does not write an agent's turns .* put a chat_template.jinja",
    ),
    "architecture": (
        spoil("config.json", architectures=["NoSuchModel"]),
        "architectures: llama.cpp does not know 'NoSuchModel'; use a base",
    ),
    "pre-tokenizer": (other_split, "pre_tokenizer: llama.cpp does not know this tokenizer"),
    "pickle": (pickled, r"found pytorch_model.bin, which may run code, expected .*save_pretrained"),
    "no weights": (remove("model.safetensors"), "found no weights, expected model.safetensors"),
    "truncated": (truncated, r"model.safetensors: damaged or cut off .*; fetch it anew"),
    "shard": (shard_missing, "has no model-00001-of-00002.safetensors, which .*json names; fetch"),
    "rows": (
        spoil("config.json", intermediate_size=544),
        "down_proj has rows of 544 weights, but Q4_K_M .* multiples of 256; use one of .*Q8_0",
    ),
    "layer": (
        without_layer,
        "model.layers.1.mlp.up_proj.weight: found no such tensor, expected",
    ),
    "embeddings": (
        spoil("config.json", vocab_size=640),
        r"model.embed_tokens.weight: found \(448, 256\), expected \(640, 256\)",
    ),
}


@pytest.mark.parametrize(("mistake", "message"), SPOILT.values(), ids=SPOILT)
def test_mistake_is_refused(folder, turns, tmp_path, mistake, message):
    mistake(folder)
    with pytest.raises(UserError, match=message):
        take_over(folder, tmp_path / "base", turns)
    assert not (tmp_path / "base/model/model.safetensors").exists()


def test_shards_become_one_file(folder, tmp_path):
    whole = load_file(folder / "model.safetensors")
    names = sorted(whole)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, keys in parts.items():
        save_file({key: whole[key] for key in keys}, folder / file)
    weight_map = {key: file for file, keys in parts.items() for key in keys}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "model.safetensors").unlink()
    model, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    fetch_base(
        sorted(folder.iterdir()), folder / "tokenizer.json", model, config,
        base="own", hub=None, revision=None,
    )  # fmt: skip
    joined = load_file(model)
    assert joined.keys() == whole.keys()
    assert all((joined[key] == whole[key]).all() for key in whole)


def test_whole_weights_are_copied_and_never_linked(folder, tmp_path):
    model, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    before = (folder / "model.safetensors").read_bytes()
    fetch_base(
        sorted(folder.iterdir()), folder / "tokenizer.json", model, config,
        base="own", hub=None, revision=None,
    )  # fmt: skip
    assert not model.samefile(folder / "model.safetensors")
    assert model.read_bytes() == (folder / "model.safetensors").read_bytes() == before


def test_target_that_matches_nothing_is_refused(folder, turns, tmp_path):
    """Before any weights are there."""
    check_targets("adapters.a", folder, ["q_proj", "down_proj"])
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"adapters.a.target_modules: found qkv_proj.* q_proj"):
        take_over(folder, tmp_path / "base", turns, targets={"a": ["q_proj", "qkv_proj"]})


def hub_cache(home, folder, name, revision):
    """Lay a model's folder out as the hub's cache has it."""
    place = home / "hub" / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / revision)


def test_hub_base_is_taken_from_the_cache_without_network(original, turns, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    revision = "0123456789" * 4
    hub_cache(tmp_path, original, "some/model", revision)
    found = bases.locate("bases.own", [], "some/model", revision, SMALL_FILES)
    assert (found / "config.json").read_bytes() == (original / "config.json").read_bytes()
    with pytest.raises(UserError, match="bases.own: no/model, revision 0123.* check the name"):
        bases.locate("bases.own", [], "no/model", revision, SMALL_FILES)


def test_hub_that_cannot_be_reached_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the attempts
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="some/model, revision 0123.* not in the hub's cache"):
        bases.locate("bases.own", [], "some/model", "0123456789" * 4, SMALL_FILES)


REVISION = "0123456789abcdef0123456789abcdef01234567"
ENTRIES = {
    "both": ({"path": ".", "hub": "a/b", "revision": REVISION}, "bases.b: found path and hub"),
    "no revision": ({"hub": "a/b"}, r"bases.b.revision: is missing, .*co/a/b/commits/main"),
    "branch": ({"hub": "a/b", "revision": "main"}, 'bases.b.revision: found "main"'),
    "revision of a folder": ({"path": ".", "revision": REVISION}, "is only for a base with hub"),
    "folder": ({"path": "no/such"}, "bases.b.path: found no/such, expected a folder that exists"),
    "no model": ({"path": "."}, "bases.b.path: found . without config.json, expected the folder"),
    "dial": ({"path": ".", "depth": 6}, "bases.b.depth: is only for a base from scratch"),
    "nothing learnt": ({"train_tokens": 0}, "bases.b.train_tokens: found 0, expected at least 1"),
}


@pytest.mark.parametrize(("entry", "message"), ENTRIES.values(), ids=ENTRIES)
def test_entry_that_makes_no_sense_is_refused(entry, message):
    config = {
        "dataset": "d",
        "datasets": {"d": {"path": "."}},
        "bases": {"b": entry},
        "systems": {"s": {"base": "b"}},
        "headline": "s",
    }
    with pytest.raises(UserError, match=message):
        load(config)


OVERLAYS = ("qwen2.5-0.5b", "qwen2.5-7b", "qwen3-0.6b", "qwen3-4b", "llama-3.2-1b", "mistral-7b")


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay_is_a_configuration(resources, name, monkeypatch):
    monkeypatch.chdir(resources.parent)
    config = {}
    for file in ("config.yaml", "paper.yaml", f"{name}.yaml"):
        update_config(config, yaml.safe_load((resources.parent / "config" / file).read_text()))
    loaded = load(config)
    base = loaded["adapters"][loaded["systems"][loaded["headline"]]["adapter"]]["base"]
    assert base == name and "hub" in loaded["bases"][name]
    assert lay_out(loaded)[1] == {}


def test_a_base_from_scratch_has_known_layers_alone(original):
    config = {
        "dataset": "d",
        "datasets": {"d": {"path": "."}},
        "bases": {"scratch": {}, "own": {"path": str(original)}},
        "adapters": {
            "a": {"base": "scratch", "target_modules": ["q_porj"]},
            "b": {"base": "own", "target_modules": ["qkv_proj"]},
        },
        "systems": {"s": {"adapter": "a"}},
        "headline": "s",
    }
    with pytest.raises(UserError, match=r"1 mistake.*\n.*a.target_modules.0: found q_porj"):
        load(config)
