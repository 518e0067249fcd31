"""The finding on a claim, as a sentence with measured values."""

from specialist.report.numbers import number


class Value(float):
    """A measured value that formats itself: `{0:percent}` and so on in a sentence."""

    def __format__(self, kind):
        return FORMATS[kind](float(self))


def _fewer(share):
    return f"{abs(100 * share):.1f} {'fewer' if share < 0 else 'more'}"


def _megabytes(difference):
    return f"{number(abs(difference))} MB {'less' if difference < 0 else 'more'}"


FORMATS = {
    "percent": lambda share: f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %",
    "times": lambda ratio: f"{ratio:.2f} times",
    "fewer": _fewer,
    "megabytes": _megabytes,
    "number": number,
}


def fill(sentence, values):
    """A claim's sentence with the values of its rules.

    Raises:
        KeyError, IndexError: it names a format or a rule that does not exist.
    """
    return sentence.strip().format(*map(Value, values))


def mistake(sentence, rules):
    """What is wrong with a sentence for so many rules, or None."""
    try:
        fill(sentence, [0.0] * rules)
    except IndexError:
        return f"names a rule that does not exist; the first of the {rules} is {{0}}"
    except (KeyError, ValueError, AttributeError) as error:
        return f"found {error}, expected {{0:FORMAT}} with one of {', '.join(FORMATS)}"
    return None
