"""Tokens of replies that a base hardly saw are found and named with a place of theirs."""

import numpy as np
import pytest

from specialist.train.conversations import encode
from specialist.train.unseen import SEEN, hardly_seen, report


def rows(*pairs):
    """Conversations of (ids, the ids that carry loss)."""
    return [{"input_ids": ids, "assistant_masks": [int(i in own) for i in ids]}
            for ids, own in pairs]  # fmt: skip


@pytest.mark.parametrize(("passes", "rare"), [(1, {2, 4}), (0.5, {1, 2, 4}), (100, {4})])
def test_replies_are_compared_with_what_pretraining_saw(passes, rare):
    corpus = np.repeat(np.array([0, 1, 2, 3], np.uint16), [500, SEEN, SEEN - 1, 400])
    said = rows(([0, 1, 2, 4], {1, 2, 4}), ([2, 3, 4, 0], {2, 3}), ([2, 0], {2}))
    found = hardly_seen(said, corpus, passes * len(corpus), 5)
    assert {entry["token"] for entry in found} == rare
    places = {1: (0, 1), 2: (0, 2), 4: (0, 3)}
    assert all(places[entry["token"]] == (entry["row"], entry["place"]) for entry in found)
    counts = {entry["token"]: (entry["replies"], entry["seen"]) for entry in found}
    if 2 in rare:
        assert found[0]["token"] == 2
        assert counts[2] == (3, round((SEEN - 1) * passes))
    assert counts[4] == (1, 0)


def test_character_of_replies_is_named(chat_model, tmp_path, capsys):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(chat_model)
    talk = [
        {"role": "user", "content": "I like a_b^c"},
        {"role": "assistant", "content": "Thought: label.\nAnswer: change_pin"},
    ]
    coded = encode("sft.jsonl", [{"messages": talk}] * 3, tokenizer, 200)
    seen = [i for i in coded[0]["input_ids"] if tokenizer.decode([i]) != "_"] * SEEN
    np.save(tmp_path / "tokens.npy", np.array(seen, np.uint16))
    found = report(coded, tmp_path / "tokens.npy", len(seen), tokenizer)
    assert [(entry["text"], entry["replies"], entry["seen"]) for entry in found] == [("_", 3, 0)]
    shown = capsys.readouterr().out
    assert "WARNING: the base hardly saw 1 of the tokens" in shown
    assert "'_': 3 times in replies, 0 in pretraining, as in" in shown
    assert "e_p" in shown
    np.save(tmp_path / "tokens.npy", np.array(coded[0]["input_ids"] * SEEN, np.uint16))
    assert report(coded, tmp_path / "tokens.npy", 10**9, tokenizer) == []
    assert capsys.readouterr().out == ""
