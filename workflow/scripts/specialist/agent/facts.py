"""Facts in answers: whether an answer contains a text as whole words."""

import re
import unicodedata

# Scripts whose words follow without blanks, and Korean, whose particles do: a fact may begin and
# end anywhere between their characters.
NO_BLANKS = (
    "\u0e00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\u1780-\u17ff\u1950-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf"  # Myanmar, Khmer, Tai
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"  # Han, kana
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# Characters between the digits of one number, date, time or range.
BETWEEN = r".,:/'’_·٫٬\-\u2013"
HAN_DIGITS = "〇零一二三四五六七八九十百千万萬億亿兩两"
LETTER = rf"[^\W{NO_BLANKS}]"
# What a fact must not cut in two: a word, C++, a number with its sign, a Chinese numeral.
SIGN = r"[-\u2013](?=[$€£¥]?\d)[$€£¥]?|± ?(?=\d)|(?<![^\s(])\.(?=\d)"
THOUSANDS = r"\d{1,3}(?: \d{3})+(?!\d)"
PLUS = rf"(?<=[^\W\d_{NO_BLANKS}])(?:\+\+|[+#](?!\w))"
WHOLE = re.compile(
    rf"(?:{SIGN})?(?:{THOUSANDS}|{LETTER}|\d)"
    rf"(?:{LETTER}|\d|(?<=\d)[{BETWEEN}](?=\d)|{PLUS})*"
    rf"|[{HAN_DIGITS}]{{2,}}"
)


def holds(answer, fact):
    """Whether an answer contains a fact as whole words, ignoring case and Unicode form.

    A word is not part of a longer one, and a number not part of another: 5 is neither in 15 nor
    in -5, ±5, 5.5, 1,500, 5 000, 9:05 or 2026-05-05, and C is not in C++ or C#. In scripts
    without blanks words may touch.
    """
    if answer is None or not (wanted := _plain(fact)):
        return False
    text = _plain(answer)
    shown = _joined(text)
    inner = {at for whole in WHOLE.finditer(shown) for at in range(whole.start() + 1, whole.end())}
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if not {at, end} & inner and not any(map(_is_mark, text[end : end + 1])):
            return True
        at = text.find(wanted, at + 1)
    return False


def _plain(text):
    # A blank that does not break groups the digits of one number.
    text = re.sub(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))", "'", text)
    text = re.sub(r"(?<=\d)T(?=\d\d:)", " ", text)  # a date and a time in ISO 8601
    text = unicodedata.normalize("NFD", " ".join(text.split())).casefold().replace("\u2212", "-")
    return unicodedata.normalize("NFC", text)


def _is_mark(character):
    return unicodedata.category(character).startswith("M")


def _joined(text):
    """The text with a letter for each mark above or beside one, which belongs to its word."""
    return "".join(
        "a" if _is_mark(each) and not re.match(f"[{NO_BLANKS}]", each) else each for each in text
    )
