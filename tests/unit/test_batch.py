"""Decoding of several conversations in one batch."""

import pytest

import tiny_models
from specialist.gguf.batch import Batch
from specialist.gguf.converter import convert
from specialist.gguf.runtime import ContextOverflow, Runtime

CONTEXT, SLOTS, MOST = 700, 3, 12
PREFIX = list(range(10, 40))
GRAMMAR = 'root ::= [a-z ]+ "." [0-9]'


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    folder = tiny_models.save_model(tmp_path_factory.mktemp("model"))
    convert(folder, folder / "f16.gguf", "tiny")
    return folder / "f16.gguf"


def prompts(count):
    """Prompts with the prefix, of many lengths; the last is longer than a batch of llama.cpp."""
    lengths = [*(3 + 7 * i for i in range(count - 1)), 600]
    return [PREFIX + [50 + (i * n) % 300 for i in range(n)] for n in lengths]


def alone(gguf, todo, grammar):
    with Runtime(gguf, CONTEXT) as runtime:
        for ids in todo:
            runtime.start(PREFIX)
            yield runtime.generate(ids, grammar, MOST)


def together(gguf, todo, grammar):
    """Continuations in the order of the prompts, each slot used again as soon as it is free."""
    found, owner, waiting = [None] * len(todo), {}, list(range(len(todo)))
    runtime = Runtime(gguf, CONTEXT, sequences=SLOTS + 1)
    with runtime, Batch(runtime, SLOTS, PREFIX, MOST) as batch:
        free = list(range(SLOTS))
        while waiting or owner:
            while free and waiting:
                slot = free.pop(0)
                owner[slot] = waiting.pop(0)
                batch.clear(slot)
                batch.ask(slot, todo[owner[slot]], grammar=grammar)
            for slot in batch.step():
                found[owner.pop(slot)] = batch.slots[slot].new
                free.append(slot)
    return found


@pytest.mark.parametrize("grammar", [None, GRAMMAR])
def test_tokens_are_those_of_one_conversation_at_a_time(gguf, grammar):
    todo = prompts(8)
    found = together(gguf, todo, grammar)
    assert found == list(alone(gguf, todo, grammar))
    assert len({tuple(ids) for ids in found}) > 1  # the prompts matter


def test_conversation_goes_on_from_its_own_cache(gguf):
    first, second = prompts(2)
    runtime = Runtime(gguf, CONTEXT, sequences=SLOTS + 1)
    with runtime, Batch(runtime, SLOTS, PREFIX, MOST) as batch:
        batch.ask(0, first)
        batch.ask(1, second)
        ended = []
        while len(ended) < 2:
            ended += batch.step()
        assert batch.slots[0].usage.prompt_tokens == len(first) - len(PREFIX)
        longer = first + batch.slots[0].new + [60, 61]
        batch.ask(0, longer)
        # The last generated token was not evaluated yet.
        assert batch.slots[0].usage.prompt_tokens == 3
        while batch.step() != [0]:
            pass
        found = batch.slots[0].new
        assert batch.slots[0].usage.generated_tokens == len(found)
    with Runtime(gguf, CONTEXT) as runtime:
        assert found == runtime.generate(longer, None, MOST)


def test_limits(gguf):
    runtime = Runtime(gguf, 64, sequences=SLOTS + 1)
    with runtime, Batch(runtime, SLOTS, PREFIX, MOST) as batch:
        with pytest.raises(ContextOverflow, match="64 tokens, context 64"):
            batch.ask(0, list(range(64)))
        batch.ask(0, list(range(60)))
        while batch.step() != [0]:
            pass
        assert len(batch.slots[0].new) <= 4
    with Runtime(gguf, 64) as runtime, pytest.raises(ValueError, match="3 slots need 4 sequences"):
        Batch(runtime, SLOTS)
