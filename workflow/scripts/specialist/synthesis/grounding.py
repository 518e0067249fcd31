"""Whether each number and each name of an answer stands in the text that it was made from."""

import re

from specialist.agent.facts import WHOLE, holds

SENTENCE = re.compile(r"(?:^|(?<=[.!?:;])|(?<=[.!?]['\"”)]))\s*[\"“„'(]*")
WORD = re.compile(r"[^\W\d_](?:[\w’'-]*\w)?")
SPOKEN = {"I", "I'm", "I'll", "I'd", "I've", "OK"}
# Numbers in words. "one" is also a pronoun.
UNITS = {
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
    "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "thousand",
    "million", "billion", "half", "twice", "double", "triple",
}  # fmt: skip


def numbers(text):
    """The numbers of a text in their order: what has a digit, and numbers in words."""
    found = [match[0].rstrip("'") for match in WHOLE.finditer(text) if re.search(r"\d", match[0])]
    spoken = [word for word in WORD.findall(text) if word.lower().split("-")[0] in UNITS]
    return list(dict.fromkeys(found + spoken))


def names(text, ordinary=frozenset()):
    """The words of a text that are names, by their capital letters, in their order.

    Args:
        ordinary: words in small letters that are no names at the beginning of a sentence.
    """
    begins, found = {match.end() for match in SENTENCE.finditer(text)}, []
    for match in WORD.finditer(text):
        word = re.sub(r"['’]s$", "", match[0])
        if not any(letter.isupper() for letter in word) or word.replace("’", "'") in SPOKEN:
            continue
        capital_only = word[0].isupper() and word[1:].islower() or len(word) == 1
        if match.start() in begins and capital_only and word.lower() in ordinary:
            continue
        found.append(word)
    return list(dict.fromkeys(found))


def unsupported(answer, texts, ordinary=frozenset()):
    """The numbers and names of an answer that stand in none of some texts.

    Args:
        answer: a text.
        texts: passages, or results of tools.
        ordinary: see `names`.
    """
    facts = numbers(answer) + names(answer, ordinary)
    return [fact for fact in facts if not any(holds(text, fact) for text in texts)]


def small_words(texts):
    """The words that some texts write in small letters."""
    return {word for text in texts for word in WORD.findall(text) if word.islower()}
