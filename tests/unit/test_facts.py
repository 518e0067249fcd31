"""Facts in answers: words and numbers are found as themselves, in every script."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specialist.agent.facts import holds

HELD = [
    ("We refund 40 percent.", "40"),
    ("It is 40.", "40"),
    ("It is 40, sir", "40"),
    ("40% of it", "40"),
    ("Refunded €18.08.", "18.08"),
    ("In (40) minutes", "40"),
    ("a 5-minute wait", "5"),
    ("5, 6 and 7", "6"),
    ("5: that is it", "5"),
    ("3 - 5", "5"),
    ("#5", "5"),
    ("it is −5 degrees", "-5"),
    ("it is +5 degrees", "5"),
    ("within ±5 %", "±5"),
    ("3 ± 5 days", "3"),
    ("1 500 euros", "1 500"),
    ("12 345 678", "12 345 678"),
    ("1 5000", "5000"),
    ("2026 500", "500"),
    ("9:30 500", "500"),
    ("we write C++, C# and C.", "C"),
    ("we write C++, C# and D.", "C++"),
    ("we write C++, C# and D.", "C#"),
    ("a+b", "a"),
    ("40+ days", "40"),
    ("open from 9:30", "9:30"),
    ("on 2026-05-12.", "2026-05-12"),
    ("at 2026-05-12T09:30.", "2026-05-12"),
    ("at 2026-05-12T09:30.", "09:30"),
    ("at 2026-05-12 09:30.", "2026-05-12T09:30"),
    ("1,500 euros", "1,500"),
    ("Free  of\nCharge!", "free of charge"),
    ("Order FD1-A, done", "fd1-a"),
    ("Straße 5", "STRASSE"),
    ("a.b", "a.b"),
    ("Emma's", "Emma"),
    # scripts without blanks
    ("我们早上九点开门。", "九点"),
    ("修理费是38元。", "38"),
    ("我叫Emma。", "Emma"),
    ("朝9時に開きます。", "9時"),
    ("ร้านเปิดเก้าโมง", "เก้าโมง"),
    ("ราคา38บาท", "38"),
    ("서울에서 9시에 엽니다", "9시"),
    ("किताब यहाँ है", "किताब"),
]
NOT_HELD = [
    ("140 percent", "40"),
    ("401 percent", "40"),
    ("40.5 percent", "40"),
    ("1.40 euros", "40"),
    ("it is .5", "5"),
    ("1,400 euros", "400"),
    ("40,000 euros", "40"),
    ("1'500", "500"),
    ("1\u00a0500", "500"),
    ("118.08 euros", "18.08"),
    ("18.080 euros", "18.08"),
    ("18x08", "18.08"),
    ("-5 degrees", "5"),
    ("±5 degrees", "5"),
    ("3 ± 5 days", "5"),
    ("a balance of -€5", "5"),
    ("1 500 euros", "500"),
    ("1 500 euros", "1"),
    ("1.500 euros", "500"),
    ("1 500.25 euros", "1 500"),
    ("12 345 678", "345 678"),
    ("we write C++", "C"),
    ("we write C++17", "C"),
    ("we write C#.", "C"),
    ("blood group A+", "A"),
    ("−5 degrees", "5"),
    ("3-5 days", "5"),
    ("3–5 days", "3"),
    ("2026-05-12", "12"),
    ("2026-05-12", "05"),
    ("at 9:30", "9"),
    ("at 9:30", "30"),
    ("24/7", "7"),
    ("5e3", "5"),
    ("not in the mood", "on the"),
    ("carefree of charge", "free of charge"),
    ("cafés", "café"),
    ("café", "cafe"),
    ("25元", "5"),
    ("十九点开门", "九点"),
    ("ราคา ๑๕ บาท", "๕"),
    ("किताब", "ताब"),
    ("कि", "क"),
    ("", "40"),
    (None, "40"),
    ("anything", " "),
]


@pytest.mark.parametrize(("answer", "fact"), HELD)
def test_facts_that_stand_in_an_answer(answer, fact):
    for form in ("NFC", "NFD"):
        assert holds(unicodedata.normalize(form, answer), fact)
        assert holds(answer, unicodedata.normalize(form, fact))


@pytest.mark.parametrize(("answer", "fact"), NOT_HELD)
def test_facts_that_do_not(answer, fact):
    for form in ("NFC", "NFD"):
        assert not holds(answer and unicodedata.normalize(form, answer), fact)


AROUND = ("{}", "It is {}.", "({})", "€{}", "{} euros, or so", "{} and 7x", "共{}元")


@given(st.integers(-99, 10**5), st.integers(0, 10**5), st.sampled_from(AROUND))
@settings(max_examples=200)
def test_a_whole_number_is_found_only_as_itself(other, figure, around):
    assert holds(around.format(other), str(figure)) == (figure == other)
    assert holds(around.format(f"{other}.25"), str(figure)) is False
    assert holds(around.format(f"{other:,}"), f"{figure:,}") == (figure == other)


@given(st.dates(), st.times(), st.integers(0, 2100))
@settings(max_examples=100)
def test_no_number_stands_in_a_date_or_time(date, time, figure):
    for text in (f"{date}", f"{date:%d.%m.%Y}", f"{date:%d/%m/%Y}", f"{time:%H:%M}"):
        assert not holds(f"It is {text}.", str(figure))
        assert holds(f"It is {text}.", text)


@given(st.text(), st.text(), st.text())
@settings(max_examples=200)
def test_a_fact_between_marks_is_found(before, fact, after):
    fact = " ".join(fact.split())
    if fact and not unicodedata.category(unicodedata.normalize("NFD", fact)[0]).startswith("M"):
        assert holds(f"{before} ; {fact} ; {after}", fact)
