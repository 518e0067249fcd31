"""Rows of tables that a Markdown parser does not know: HTML, grids, and tables without a header."""

import re

TAG = re.compile(r"<(/?table|tr)\b", re.IGNORECASE)
INSIDE_TABLE = re.compile(
    r"(?<=\S)[ \t]*(?=<(?:tr\b|/table\s*>))|(?<=</table>)(?=.)", re.IGNORECASE
)
MARKUP = re.compile(r"<[^<>]*>|&nbsp;")
BORDER = re.compile(r"\s*\+(?:[-=:]+\+)+\s*")  # of a grid: +---+---+


def one_row_a_line(lines, code):
    """The lines, with each row of an HTML table on lines of its own.

    Args:
        lines: of an article.
        code: numbers of lines that stay as they are.
    """
    found = []
    for number, line in enumerate(lines):
        if number in code or line.lower().count("<tr") < 2:
            found.append(line)
        else:
            found += INSIDE_TABLE.sub("\n", line).split("\n")
    return found


def rows(lines, taken):
    """{first line: (line after the last, header)} of the tables; see `structure.Structure.rows`.

    Args:
        lines: of an article.
        taken: numbers of lines of code, and of tables that are known.
    """
    return _html(lines, taken) | _grids(lines, taken) | _pipes(lines, taken)


def _html(lines, taken):
    """Rows of HTML tables whose rows begin on lines of their own; a row holds inner tables."""
    found, begins, depth = {}, [], 0
    for number, line in enumerate(lines):
        if number in taken:
            continue
        for tag in TAG.findall(line):
            tag = tag.lower()
            if tag == "table" and not depth:
                begins, start = [], number
            elif tag == "tr" and depth == 1:
                begins.append(number)
            depth = max(depth + {"table": 1, "/table": -1}.get(tag, 0), 0)
            if tag == "/table" and not depth:
                found |= _html_table(lines, start, number + 1, begins)
                begins = []
    return found


def _html_table(lines, start, stop, begins):
    ends = [*begins[1:], stop]
    texts = ["\n".join(lines[b:e]) for b, e in zip(begins, ends, strict=True)] if begins else []
    # A single row with a text is a layout, whose text is cut like any other.
    if len(set(begins)) < len(begins) or sum(bool(MARKUP.sub("", t).strip()) for t in texts) < 2:
        return {}
    header = None
    if re.search(r"<th\b", texts[0], re.IGNORECASE):
        header, begins = (start, begins[1]), begins[1:]
    found = {begin: (end, header) for begin, end in zip(begins, [*begins[1:], stop], strict=True)}
    # The first row has what stands above it.
    del found[begins[0]]
    return {start: ([*begins[1:], stop][0], None), **found}


def _grids(lines, taken):
    """Rows of tables that are drawn with +, - and |; a border ends a row."""
    found, start = {}, None
    for number in range(len(lines) + 1):
        line = lines[number] if number < len(lines) and number not in taken else ""
        border = BORDER.fullmatch(line)
        if start is None:
            start, borders = (number, [number]) if border else (None, [])
        elif border:
            borders.append(number)
        elif not line.strip().startswith("|"):
            if len(borders) > 2 and borders[-1] == number - 1:
                found |= _grid(lines, start, [border + 1 for border in borders[1:]])
            start = None
    return found


def _grid(lines, start, ends):
    """Rows of one grid, whose header ends with a border of =."""
    header = None
    if "=" in lines[ends[0] - 1] and len(ends) > 1:
        header, ends = (start, ends[0]), ends[1:]
    found = {start: (ends[0], None)}
    return found | {begin: (end, header) for begin, end in zip(ends, ends[1:], strict=False)}


def _pipes(lines, taken):
    """Rows of two or more lines | like | this | without a header."""
    found, start = {}, None
    for number in range(len(lines) + 1):
        line = lines[number].strip() if number < len(lines) and number not in taken else ""
        inside = line.startswith("|") and line.endswith("|") and len(line) > 1
        if inside and start is None:
            start = number
        elif not inside and start is not None:
            if number - start > 1:
                found |= {line: (line + 1, None) for line in range(start, number)}
            start = None
    return found
