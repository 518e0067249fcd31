"""Patterns of tools end in bounded time, and words that YAML reads otherwise are named by line."""

import time

import pytest
import yaml

from specialist.core.json_schema import Validator, pattern_problems
from specialist.core.yaml_words import misread


def test_pattern_that_would_backtrack_for_years_ends():
    validator = Validator({"type": "string", "pattern": "^(a+)+$"})
    begin = time.perf_counter()
    assert not validator.is_valid("a" * 5000 + "!")
    assert time.perf_counter() - begin < 5
    assert validator.is_valid("a" * 5000) and not validator.is_valid(7)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [("^É+$", "ÉÉ", True), ("b", "abc", True), ("^b", "abc", False), (r"^\d$", "٣", False)],
)
def test_pattern(pattern, text, fits):
    assert Validator({"properties": {"a": {"pattern": pattern}}}).is_valid({"a": text}) is fits
    assert Validator({"pattern": "^.$"}).is_valid("\ud800")


def test_patterns_without_bounds_are_named():
    schema = {"properties": {"pattern": {"anyOf": [{"pattern": r"(a)\1"}, {"pattern": "a"}]}}}
    [(path, text)] = pattern_problems(schema)
    assert (
        path == ("properties", "pattern", "anyOf", 0, "pattern") and r"escape sequence: \1" in text
    )


@pytest.mark.parametrize(
    ("text", "everywhere", "where_text"),
    [
        ("a: 1\nb: [9:30]", [(2, "found 9:30, which YAML reads as 570")], []),
        ("010: x", [(1, "found 010, which YAML reads as 8")], []),
        ("a: -1:30.5", [(1, "found -1:30.5, which YAML reads as -90.5")], []),
        ("a: &n 1:00\nb: *n", [(1, "found 1:00, which YAML reads as 60")], []),
        ("a: no", [], [(1, "found no, which YAML reads as false")]),
        ("on: 1", [], [(1, "found on, which YAML reads as true")]),
        ("a: 2026-05-12", [], [(1, "found 2026-05-12, which YAML reads as a date")]),
        ("a: ['9:30', \"no\", 0, 0.5, 1_000, 0x1F, true, False, 25:99, 08, ~]", [], []),
    ],
)
def test_words_that_are_read_otherwise(text, everywhere, where_text):
    root = yaml.compose(text)
    for found, expected in (
        (misread(root), everywhere),
        (misread(root, text=True), everywhere + where_text),
    ):
        assert [(line, said.split(";")[0].split(", or")[0]) for line, said in found] == expected
