"""Bases that cannot be used are refused before anything is trained, with the place and the cure."""

import json
import os
import shutil

import pytest
import torch
import yaml
from convert_gguf import convert_gguf
from fetch_base import fetch_base
from safetensors.torch import load_file, save_file
from snakemake.utils import update_config
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, AutoTokenizer

import families
from specialist.bases.locate import locate
from specialist.bases.weights import find_weights
from specialist.config.experiments import lay_out
from specialist.config.load import load
from specialist.core.errors import UserError
from specialist.core.model_config import check_sizes
from specialist.core.model_files import SMALL_FILES
from specialist.gguf.runtime import Runtime
from specialist.train.adapters import check_targets
from specialist.train.conversations import BaseTokenizer
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


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


def pipe(name):
    def make(folder):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return make


def link(name, target):
    def make(folder):
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return make


def index(weight_map):
    def make(folder):
        remove("model.safetensors")(folder)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    return make


def weights(change):
    def make(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return make


def no_number(tensors):
    tensors["model.layers.1.mlp.up_proj.weight"][3, 5] = float("nan")
    tensors["model.layers.1.mlp.up_proj.weight"][4, 5] = float("inf")


def whole_numbers(tensors):
    tensors["model.norm.weight"] = tensors["model.norm.weight"].to(torch.int8)


def twice(folder):
    shutil.copy(folder / "model.safetensors", folder / "a.safetensors")
    (folder / "model.safetensors").rename(folder / "b.safetensors")
    weight_map = {"model.norm.weight": "a.safetensors", "lm_head.weight": "b.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def infinite(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(
        text.replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": NaN')
    )


NESTED = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
LONG = "{{ messages[0].content | center(10000000000) }}"
OWN_CODE = {
    "AutoConfig": "configuration_own.OwnConfig",
    "AutoModel": "hub/x--modeling_own.OwnModel",
}
USER_ONLY = (
    "{% for m in messages %}{% if m.role == 'user' %}<|im_start|>{{ m.content }}<|im_end|>"
    "{% endif %}{% endfor %}"
)
SPOILT = {
    "no tokenizer": (remove("tokenizer.json"), r"bases.own: .* has no tokenizer.json; write one"),
    "no config": (remove("config.json"), "has no config.json; name the folder of a model"),
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
        "found no chat template; use the version that was tuned",
    ),
    "template": (
        spoil("tokenizer_config.json", chat_template=USER_ONLY),
        "cannot write an agent's turns .* put a chat_template.jinja",
    ),
    "named templates": (
        spoil("tokenizer_config.json", chat_template=[{"name": "rag", "template": "x"}]),
        "found the chat templates rag, and none is the default; copy the one",
    ),
    "template that is no text": (
        spoil("tokenizer_config.json", chat_template=5),
        "found no chat template",
    ),
    "endless template": (
        spoil("tokenizer_config.json", chat_template=NESTED),
        "bases.own: the chat template exceeds its limits .* more than 1,000,000 passes",
    ),
    "long template": (
        spoil("tokenizer_config.json", chat_template=LONG),
        "bases.own: the chat template exceeds its limits .* fills the memory",
    ),
    "template that includes": (
        spoil("tokenizer_config.json", chat_template="{% include 'x' %}"),
        "cannot write an agent's turns .*no loader",
    ),
    "own code": (
        spoil("config.json", auto_map=OWN_CODE),
        "config.json: auto_map: found OwnConfig, OwnModel, code .* never run",
    ),
    "own tokenizer": (
        spoil("tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_own.Own", None]}),
        "tokenizer_config.json: auto_map: found Own, code",
    ),
    "list for config": (write("config.json", "[]"), "config.json: expected a JSON object"),
    "layers": (
        spoil("config.json", num_hidden_layers=10**9),
        "num_hidden_layers: found 1000000000, expected a whole number from 1 to 1,000",
    ),
    "not a number": (infinite, "config.json: rms_norm_eps: found nan, expected a finite number"),
    "unknown activation": (
        spoil("config.json", hidden_act="no-such"),
        "config.json: Transformers cannot build this model: KeyError",
    ),
    "architectures": (spoil("config.json", architectures=5), "architectures: found 5, expected"),
    "empty tokenizer": (
        write("tokenizer.json", "{}"),
        "bases.own: tokenizer.json: Transformers cannot read this tokenizer .*; fetch it again",
    ),
    "cut tokenizer": (write("tokenizer.json", '{"model": {'), "tokenizer.json is not JSON: .*"),
    "damaged pieces": (write("tokenizer.model", "x"), "converter cannot convert .* ModelProto"),
    "pipe": (pipe("tokenizer.json"), "tokenizer.json is a folder, a pipe or a device"),
    "pipe of weights": (pipe("model.safetensors"), "model.safetensors is a folder, a pipe"),
    "link": (link("tokenizer.json", "/etc/hostname"), "tokenizer.json links to /etc/hostname"),
    "link to nothing": (link("tokenizer.json", "/no/such"), "links to a file that is missing"),
    "shard above": (
        index({"a": "../original/model.safetensors"}),
        "found ../original/model.safetensors, expected a file in",
    ),
    "shard elsewhere": (index({"a": "/a.safetensors"}), "found /a.safetensors, expected a file in"),
    "shard of another kind": (index({"a": "config.json"}), "weight_map: found 'config.json'"),
    "index": (
        lambda folder: [
            remove("model.safetensors")(folder),
            write("model.safetensors.index.json", "[]")(folder),
        ],
        "model.safetensors.index.json: expected weight_map",
    ),
    "no numbers": (
        weights(no_number),
        "model.layers.1.mlp.up_proj.weight: 2 of its weights are NaN or infinite",
    ),
    "whole numbers": (
        weights(whole_numbers),
        "model.norm.weight: found the format I8, expected one of F32",
    ),
    "tensor twice": (twice, "found in b.safetensors and in a.safetensors, expected it once"),
    "architecture": (
        spoil("config.json", architectures=["NoSuchModel"]),
        "architectures: llama.cpp does not know 'NoSuchModel'; use a base",
    ),
    "pre-tokenizer": (other_split, "pre_tokenizer: llama.cpp does not know this tokenizer"),
    "pickle": (pickled, r"found pytorch_model.bin, which may run code, expected .*save_pretrained"),
    "no weights": (remove("model.safetensors"), "found no weights, expected model.safetensors"),
    "truncated": (truncated, r"model.safetensors: damaged or cut off .*; fetch it again"),
    "shard": (shard_missing, "has no model-00001-of-00002.safetensors, which .*json names; down"),
    "rows": (
        spoil("config.json", intermediate_size=544),
        "down_proj has rows of 544 weights, but Q4_K_M .* multiples of 256 and "
        "`strict_quantization` is on; .* use one of .*Q8_0",
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


# Mistakes that the step with the weights finds.
OF_WEIGHTS = {
    "pickle", "no weights", "truncated", "shard", "layer", "embeddings", "pipe of weights",
    "shard above", "shard elsewhere", "shard of another kind", "index", "no numbers",
    "whole numbers", "tensor twice",
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_mistake_is_refused(folder, turns, tmp_path, name):
    mistake, message = SPOILT[name]
    mistake(folder)
    model = tmp_path / "base/model/model.safetensors"
    with pytest.raises(UserError, match=message):
        if name in OF_WEIGHTS:
            fetch_base(
                [folder / "config.json"], folder / "tokenizer.json", model, tmp_path / "config",
                base="own", hub=None, revision=None,
            )  # fmt: skip
        else:
            take_over(folder, tmp_path / "base", turns)
    assert not model.exists() and not (tmp_path / "config").exists()


def save_tokens(folder, *tokens):
    """Add tokens that are not special to a model in a folder, as people do before they train."""
    model, tokenizer = (
        kind.from_pretrained(folder) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens])
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_added_tokens_are_read_alike(family, turns, tmp_path):
    """Half a character of the byte-level alphabet, and a name that llama.cpp takes for control."""
    folder = families.save(tmp_path / "model", family)
    added = ["\u00a744AB", "late fee", "<|fim_prefix|>", "<lookup>"]
    save_tokens(folder, *added)
    base = take_over(folder, tmp_path / "base", turns, quantizations=[])
    assert json.loads(base["gate"].read_text())["added_tokens"]["value"] == 0
    tokenizer = AutoTokenizer.from_pretrained(base["tokenizer"].parent)
    text = tmp_path / "text.jsonl"
    text.write_text(json.dumps({"text": "The late fee of \u00a744AB, <lookup>."}) + "\n")
    gguf, gate = tmp_path / "F16.gguf", tmp_path / "gate.json"
    convert_gguf(
        base["model"], base["config"], base["tokenizer"], base["tokenizer_config"],
        base["chat_template"], base["sentencepiece"], text, gguf, gate, name="My-Phi3", threads=1,
    )  # fmt: skip
    with Runtime(gguf, weights=False) as runtime:
        for token in (added[0], added[1], added[3]):
            ids = tokenizer(f"a{token}b", add_special_tokens=False)["input_ids"]
            assert tokenizer.convert_tokens_to_ids(token) in ids
            assert runtime.tokenize(f"a{token}b", special=False) == ids
        assert added[2] in runtime.control_tokens
        assert added[2] in BaseTokenizer(tokenizer).control_tokens


def test_token_that_differs_is_named(turns, tmp_path):
    """A blank of SentencePiece in a token is a blank to llama.cpp alone."""
    folder = families.save(tmp_path / "model", "mistral")
    save_tokens(folder, "\u2581late")
    with pytest.raises(UserError, match="added_tokens is 1, .* differ: '\u2581late'"):
        take_over(folder, tmp_path / "base", turns)


def test_default_of_several_templates_is_taken(folder, turns, tmp_path, capsys):
    template = families.template("qwen2_5")
    named = [{"name": "rag", "template": "x"}, {"name": "default", "template": template}]
    change(folder, "tokenizer_config.json", chat_template=named)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates/tool_use.jinja").write_text("y")
    base = take_over(folder, tmp_path / "base", turns)
    assert base["chat_template"].read_text() == template
    assert "the base also has rag, tool_use" in capsys.readouterr().out


def test_code_of_a_model_that_transformers_has_is_ignored(folder, turns, tmp_path, capsys):
    change(folder, "config.json", auto_map={"AutoModelForCausalLM": "own.Qwen2ForCausalLM"})
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    base = take_over(folder, tmp_path / "base", turns)
    assert "auto_map is ignored: Transformers has Qwen2ForCausalLM" in capsys.readouterr().out
    assert "auto_map" not in json.loads(base["config"].read_text())
    assert not (tmp_path / "ran").exists()


SIZES = {
    "hidden_size": -4, "num_attention_heads": 2.5, "vocab_size": "448", "head_dim": True,
    "intermediate_size": [512, 0], "max_position_embeddings": 10**12, "model_type": ["qwen2"],
    "rope_theta": float("inf"),
}  # fmt: skip


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("nested", [False, True])
def test_size_that_no_model_has_is_refused(key, nested):
    config = {"hidden_size": 64, "vocab_size": None, "time_step_limit": [0.0, float("inf")]}
    check_sizes(config, "config.json")
    config = {"text_config": config | {key: SIZES[key]}} if nested else config | {key: SIZES[key]}
    with pytest.raises(UserError, match=f"config.json: .*{key}: found .*, expected"):
        check_sizes(config, "config.json")


def test_folder_of_the_hubs_cache_may_link_to_its_blobs(original, tmp_path):
    snapshot, blobs = tmp_path / "models--a--b/snapshots/0123", tmp_path / "models--a--b/blobs"
    shutil.copytree(original, blobs)
    snapshot.mkdir(parents=True)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
    assert find_weights("bases.own", snapshot) == [snapshot / "model.safetensors"]


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
    found = locate("bases.own", [], "some/model", revision, SMALL_FILES)
    assert (found / "config.json").read_bytes() == (original / "config.json").read_bytes()
    with pytest.raises(UserError, match="bases.own: no/model, revision 0123.* check the name"):
        locate("bases.own", [], "no/model", revision, SMALL_FILES)


def test_hub_that_cannot_be_reached_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the attempts
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="some/model, revision 0123.* not in the hub's cache"):
        locate("bases.own", [], "some/model", "0123456789" * 4, SMALL_FILES)


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
