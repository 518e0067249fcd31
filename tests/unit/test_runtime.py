"""Decoding a GGUF: tokens, logits, cache reuse, grammars, limits."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tiny_models
from specialist.core.errors import UserError
from specialist.gguf.converter import convert
from specialist.gguf.runtime import ContextOverflow, Runtime, Usage

CONTEXT = 700  # more than a batch, to cut prompts


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    folder = tiny_models.save_model(tmp_path_factory.mktemp("model"))
    convert(folder, folder / "f16.gguf", "tiny")
    return folder / "f16.gguf"


@pytest.fixture
def runtime(gguf):
    with Runtime(gguf, CONTEXT) as opened:
        yield opened


def prompt(length, seed=0):
    return np.random.default_rng(seed).integers(4, 400, length).tolist()


def greedy(runtime, ids, count):
    """The plain way: evaluate everything anew for each token."""
    ids = list(ids)
    for _ in range(count):
        ids.append(int(runtime.logits(ids)[-1].argmax()))
    return ids[-count:]


def test_text_survives_tokens(runtime):
    for text in tiny_models.TEXTS:
        ids = runtime.tokenize(text)
        assert runtime.detokenize(ids) == text
        assert len(ids) <= len(text.encode())


def test_text_from_outside_cannot_hold_control_tokens(runtime):
    (end,) = runtime.tokenize("<|im_end|>")
    assert end not in runtime.tokenize("<|im_end|>", special=False)
    assert runtime.detokenize(runtime.tokenize("<|im_end|>", special=False)) == "<|im_end|>"


def test_generation_is_greedy_whatever_is_cached(runtime):
    first, second = prompt(30), prompt(30, seed=1)
    for ids in (first, second, first[:20] + second[:10], first[:20], first):
        assert runtime.generate(ids, max_tokens=8) == greedy(runtime, ids, 8)


def test_only_what_is_new_is_evaluated(runtime):
    ids = prompt(600)
    new = runtime.generate(ids, max_tokens=10)
    assert runtime.usage.prompt_tokens == 600
    # The last new token was chosen, never evaluated.
    longer = ids + new + prompt(5, seed=1)
    runtime.generate(longer, max_tokens=1)
    assert runtime.usage.prompt_tokens == 600 + 6
    runtime.generate(longer, max_tokens=1)
    assert runtime.usage.prompt_tokens == 600 + 6 + 1
    assert runtime.usage.generated_tokens == 12
    assert runtime.usage.prompt_seconds > 0 < runtime.usage.generated_seconds


def test_conversations_from_a_shared_start_do_not_depend_on_each_other(gguf):
    prefix, ids = prompt(100), prompt(120)
    assert ids[:100] == prefix
    states = []
    for before in (prompt(110), prompt(50, seed=2), ids):
        with Runtime(gguf, CONTEXT) as runtime:
            runtime.start(before[:10])
            runtime.generate(before)
            runtime.start(prefix)
            runtime.usage = Usage()
            states.append(runtime.generate(ids))
            assert runtime.usage.prompt_tokens == 20
            runtime.start(prefix)
            states.append(runtime.generate(ids))
            assert runtime.usage.prompt_tokens == 40
    assert states == states[:1] * len(states)


def test_grammar_is_followed_afresh_in_each_call(runtime):
    grammar = 'root ::= "Action: " [a-z]+ "\\n" | "Answer"'
    ids = prompt(40)
    texts = []
    for _ in range(2):
        new = runtime.generate(ids, grammar, max_tokens=60)
        texts.append(runtime.detokenize(new).split("<|")[0])
    assert texts[0] == texts[1]
    assert texts[0] == "Answer" or texts[0].startswith("Action: ")
    free = runtime.generate(ids, max_tokens=20)
    assert runtime.detokenize(free) != texts[0]


def test_grammar_leaves_the_likeliest_of_the_tokens_it_allows(runtime):
    ids = prompt(40)
    new = runtime.generate(ids, "root ::= [a-z ]+", max_tokens=12)
    allowed = [
        token
        for token in range(4, runtime.vocabulary)
        if re.fullmatch("[a-z ]+", runtime.detokenize([token]))
    ]
    for i, token in enumerate(new):
        logits = runtime.logits(ids + new[:i])[-1]
        # From the second token on the text may also end.
        ends = [0, 2] if i else []
        assert token == max(allowed + ends, key=lambda token: logits[token])


def test_end_of_grammar_is_the_end_of_generation(runtime):
    new = runtime.generate(prompt(40), 'root ::= "yes"', max_tokens=50)
    assert runtime.detokenize(new) in {"yes<|im_end|>", "yes<|endoftext|>"}


def test_grammar_that_cannot_be_parsed_is_refused(runtime):
    with pytest.raises(ValueError, match="cannot parse a grammar: failed to parse"):
        runtime.generate(prompt(5), "root ::= missing")


def test_generation_stops_at_the_given_tokens_and_limits(runtime):
    ids = prompt(40)
    new = runtime.generate(ids, max_tokens=20)
    stop = new[5]
    cut = new[: new.index(stop) + 1]
    assert runtime.generate(ids, max_tokens=20, stop_ids=[stop]) == cut
    assert len(runtime.generate(prompt(CONTEXT - 3), max_tokens=20)) <= 3
    with pytest.raises(ContextOverflow):
        runtime.generate(prompt(CONTEXT))
    with pytest.raises(ContextOverflow):
        runtime.logits(prompt(CONTEXT + 1))


def test_bad_file_and_bad_context_are_told(gguf, tmp_path, capfd):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(gguf.read_bytes()[:1000])
    with pytest.raises(UserError, match="broken.gguf: llama.cpp cannot load this file: .*failed"):
        Runtime(broken)
    with pytest.raises(UserError, match="2048 tokens, .*trained for 1024"):
        Runtime(gguf, 2048)
    assert capfd.readouterr().err == ""


def test_threads_that_wait_take_no_time(gguf):
    """OpenMP's would spin for milliseconds after each call, or for ever beside other work."""
    code = (
        "import sys, time; from specialist.gguf.runtime import Runtime\n"
        "with Runtime(sys.argv[1], 64, threads=2) as runtime:\n"
        "    runtime.generate([5, 6], max_tokens=1)\n"
        "    begin = time.process_time()\n"
        "    for _ in range(50):\n"
        "        runtime.generate([5, 6], max_tokens=1); time.sleep(0.01)\n"
        "    print(time.process_time() - begin)"
    )
    scripts = Path(__file__).parents[2] / "workflow/scripts"
    environment = {
        key: os.environ[key] for key in os.environ if not key.startswith(("OMP", "GOMP"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code, gguf], capture_output=True, text=True, check=True,
        env={**environment, "PYTHONPATH": str(scripts)},
    )  # fmt: skip
    # Two threads that spin through the pauses take a second.
    assert float(done.stdout) < 0.5
