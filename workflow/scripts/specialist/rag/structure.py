"""Finds the headings, tables, lists and code blocks of an article."""

import functools
from dataclasses import dataclass, field
from itertools import accumulate

from specialist.rag.table_rows import rows


@dataclass(frozen=True)
class Heading:
    """A heading: its lines from `start` to `stop`, its level (1 is the top) and its text."""

    start: int
    stop: int
    level: int
    text: str


@dataclass
class Structure:
    """Blocks of an article, by the numbers of their lines; plain text has none.

    Attributes:
        headings: every `Heading` that is not inside another block, in order.
        rows: {first line: (line after the last, header)} of what a table is cut into. Its first
            row has the header above it. `header` is (first line, line after the last) of the
            header that a part beginning with this row repeats, or None for the first row.
        code: lines of code blocks, fences included.
        lists: lines of lists.
        items: {line: depth} of where a list item begins; 0 is the outermost list.
        blocks: lines where a block outside a list begins.
    """

    headings: list = field(default_factory=list)
    rows: dict = field(default_factory=dict)
    code: set = field(default_factory=set)
    lists: set = field(default_factory=set)
    items: dict = field(default_factory=dict)
    blocks: set = field(default_factory=set)

    @classmethod
    def of(cls, text):
        """The structure of a Markdown text, whose lines end with a newline."""
        found, depth, header = cls(), -1, None
        tokens = _parser().parse(text)
        for token, following in zip(tokens, [*tokens[1:], None], strict=True):
            depth -= token.type in ("bullet_list_close", "ordered_list_close")
            if token.nesting < 0 or not token.map:
                continue
            start, stop = token.map
            if token.level == 0:
                found.blocks.add(start)
            if token.type == "heading_open" and token.level == 0:
                words = " ".join(following.content.split())
                found.headings.append(Heading(start, stop, int(token.tag[1]), words))
            elif token.type in ("bullet_list_open", "ordered_list_open"):
                depth += 1
                found.lists.update(range(start, stop))
            elif token.type == "list_item_open":
                # A list that begins an item begins on the line of that item.
                found.items.setdefault(start, depth)
            elif token.type in ("fence", "code_block"):
                found.code.update(range(start, stop))
            elif token.type == "table_open":
                header = (start, start + 2)  # the names of the columns, and the dashes
                found.rows[start] = (min(start + 3, stop), None)
            elif token.type == "tr_open" and start > header[1]:
                found.rows[start] = (stop, header)
        return found.with_tables(text.split("\n"))

    def with_tables(self, lines):
        """The same with the rows of tables that are not Markdown's."""
        known = {line for start, (stop, _) in self.rows.items() for line in range(start, stop)}
        self.rows.update(rows(lines, self.code | known))
        return self


@functools.cache
def _parser():
    from markdown_it import MarkdownIt

    # Skip inline parsing: it is not needed here, and takes most of the time.
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.disable(["inline", "text_join"])
    return parser


def line_starts(lines):
    """Position of each line in the text that joins them by newlines, and the text's end + 1."""
    return [0, *accumulate(len(line) + 1 for line in lines)]
