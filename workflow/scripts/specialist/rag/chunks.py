"""Cuts articles into chunks that a person can read and that fit the embedding model."""

import re
import unicodedata
from bisect import bisect_left
from itertools import accumulate
from typing import NamedTuple

from specialist.rag.merging import merged
from specialist.rag.structure import Structure, line_starts
from specialist.rag.table_rows import one_row_a_line

# How good it is to cut before a word; the best cut wins, then the latest.
INSIDE, WORD, SENTENCE, LINE, PART, NESTED_ITEM, ITEM, BLOCK, PARAGRAPH = range(9)
CUT_AFTER = dict.fromkeys("。！？｡", SENTENCE) | dict.fromkeys("，、；：､", WORD)  # inside a word
ENDS = ".!?。！？｡"
LONG_WORD = 64  # characters from which a word may be cut
MARGIN = 8  # tokens by which a part may differ from its share of the whole text's tokens


class Cutter:
    """Cuts articles into chunks.

    An article that fits is one chunk. A longer Markdown article is cut at its headings. A
    section that is still too long is cut between paragraphs, else list items, else lines of
    code, else sentences, else words. A word that is too long (a sentence in Chinese, Japanese
    or Thai, or base64) is cut between the words that the embedding model sees in it. A row of a
    table is never cut, and each part of a table begins with the table's header.

    Args:
        counter: `specialist.rag.tokens.TokenCounter`.
        max_words, max_tokens: size of the longest chunk; the tokens are those of the embedded
            text, title included. One table row with its header may be longer.
        overlap_words: words that a chunk repeats from the one before it in a long section;
            rows of tables are not repeated.
        min_words: sections with fewer words are merged with a neighbour; see
            `specialist.rag.merging`.
        intro_words: words of the article's introduction that are embedded with its other chunks.
    """

    def __init__(self, counter, max_words, max_tokens, overlap_words, min_words=0, intro_words=0):
        self.counter, self.max_words, self.overlap_words = counter, max_words, overlap_words
        self.max_tokens, self.min_words, self.intro_words = max_tokens, min_words, intro_words

    def chunks(self, article):
        """Yield the (title, text) of each chunk of a `specialist.rag.documents.Article`."""
        yield from _Cut(self, article).chunks()

    def introduced(self, article):
        """Yield (title, text, introduction of the article, or "" where the text holds it)."""
        cut = _Cut(self, article)
        for title, text in cut.chunks():
            yield title, text, "" if cut.intro in " ".join(text.split()) else cut.intro


class _Cut:
    """One article that is being cut. Positions are characters of `text`."""

    def __init__(self, cutter, article):
        self.cutter, self.article = cutter, article
        self.structure = self.parsed(article.lines)
        self.lines = one_row_a_line(article.lines, self.structure.code)
        if len(self.lines) > len(article.lines):
            self.structure = self.parsed(self.lines)
        self.text = "\n".join(self.lines)
        self.begins = line_starts(self.lines)
        self.tokens = cutter.counter.starts(self.text)
        self.words = [0, *accumulate(len(line.split()) for line in self.lines)]
        self.intro = ""

    def parsed(self, lines):
        if self.article.markdown:
            return Structure.of("\n".join(lines))
        return Structure().with_tables(lines)

    def chunks(self):
        headings, count = self.structure.headings, len(self.lines)
        if not self.fits(0, count, self.title(())):
            self.intro = self.introduction(headings)
        sections = merged(
            self.sections(0, count, headings, ()),
            self.cutter.min_words,
            words=lambda start, stop: self.words[stop] - self.words[start],
            fits=lambda start, stop, trail: self.fits(start, stop, self.title(trail)),
            heading=lambda start: next((h.start for h in headings if h.stop == start), start),
        )
        for trail, start, stop in sections:
            title = self.title(trail)
            if self.fits(start, stop, title):
                yield title, "\n".join(self.lines[start:stop]).strip()
            else:
                yield from ((title, text) for text in self.windows(start, stop, title))

    def introduction(self, headings):
        """The first words of the paragraph that opens the article, below its title."""
        begin, found = 0, []
        if headings and not "".join(self.lines[: headings[0].start]).strip():
            begin, headings = headings[0].stop, headings[1:]
        structure, end = self.structure, headings[0].start if headings else len(self.lines)
        for number in range(begin, end):
            if number in structure.code or number in structure.rows or number in structure.lists:
                break
            if found and not self.lines[number].strip():
                break
            found += self.lines[number].split()
        return " ".join(found[: self.cutter.intro_words])

    def title(self, trail):
        """The headings above a chunk, below the title of the front matter."""
        if top := self.article.title:
            trail = trail[bool(trail) and trail[0].casefold() == top.casefold() :]
            trail = (top, *trail)
        return " > ".join(trail) or self.article.name

    def sections(self, start, stop, headings, trail):
        """Yield (headings above, first line, line after the last) of each section."""
        above = None
        if headings and not "".join(self.lines[start : headings[0].start]).strip():
            # A heading at the very top is the title, if all others are below its level.
            first, *rest = headings
            if all(heading.level > first.level for heading in rest):
                start, trail, headings, above = first.stop, (*trail, first.text), rest, first
        if not headings or self.fits(start, stop, self.title(trail)):
            if self.words[stop] > self.words[start]:
                yield trail, start, stop
            elif above:  # a heading without a text says something too
                yield trail, above.start, above.stop
            return
        top = min(heading.level for heading in headings)
        cuts = [start, *(heading.start for heading in headings if heading.level == top), stop]
        places = [heading.start for heading in headings]
        for begin, end in zip(cuts, cuts[1:], strict=False):
            inside = headings[bisect_left(places, begin) : bisect_left(places, end)]
            yield from self.sections(begin, end, inside, trail)

    def fits(self, start, stop, title):
        """Whether lines fit into one chunk."""
        if self.words[stop] - self.words[start] > self.cutter.max_words:
            return False
        begin, end = self.begins[start], self.begins[stop]
        room = self.room(title) - self.count(begin, end)
        return room >= 0 and (room > MARGIN or self.measured(title, self.text[begin:end]))

    def count(self, begin, end):
        """Tokens between two positions."""
        return bisect_left(self.tokens, end) - bisect_left(self.tokens, begin)

    def room(self, title):
        """Tokens for the text below a title; a title cannot take more than half of a chunk."""
        most, head = self.cutter.max_tokens, "\n".join(filter(None, (title, self.intro)))
        return max(most - self.cutter.counter.overhead(head), most // 2, 1)

    def measured(self, title, text):
        """Whether a text has room below its title, counted by itself."""
        return self.cutter.counter.count(text.strip()) <= self.room(title)

    def windows(self, start, stop, title):
        """Yield the parts of lines that do not fit into one chunk."""
        atoms = self.atoms(start, stop)
        first, room, last = 0, self.room(title), len(atoms)
        while True:
            prefix = atoms[first].header
            end = self.reach(atoms, first, prefix, room)
            if end < last:
                kept = min(self.cutter.overlap_words, end - first - 1)
                best = range(first + kept + 1, end + 1)
                end = max(best, key=lambda i: (atoms[i].strength, i))
            text = prefix + self.text[atoms[first].begin : atoms[end - 1].end]
            while end > first + 1 and not self.sure(atoms, first, end, room, title, text):
                end -= 1
                text = prefix + self.text[atoms[first].begin : atoms[end - 1].end]
            yield text
            if end == last:
                return
            back = end
            while back - 1 > first and end - back < self.cutter.overlap_words:
                if atoms[back - 1].row:
                    break
                back -= 1
            first = back

    def reach(self, atoms, first, prefix, room):
        """The end of the longest chunk that begins at an atom; it contains at least that atom."""
        words = self.cutter.max_words - len(prefix.split())
        room -= self.cutter.counter.count(prefix) if prefix else 0
        for i in range(first, len(atoms)):
            words, room = words - atoms[i].words, room - atoms[i].tokens
            if words < 0 or room < 0:
                return max(i, first + 1)
        return len(atoms)

    def sure(self, atoms, first, end, room, title, text):
        """Whether a part certainly fits.

        A word that was cut may have other tokens than it has as a whole.
        """
        whole = atoms[first].strength > INSIDE
        whole = whole and (end == len(atoms) or atoms[end].strength > INSIDE)
        if whole and sum(atom.tokens for atom in atoms[first:end]) < room - MARGIN:
            return True
        return self.measured(title, text)

    def atoms(self, start, stop):
        """Indivisible pieces of some lines: words, parts of long words, rows of tables."""
        found, number, blank = [], start, False
        while number < stop:
            if not self.lines[number].strip():
                number, blank = number + 1, True
                continue
            strength = self.strength(number, blank, found)
            if number in self.structure.rows:
                row = number
                number, header = self.structure.rows[row]
                found.append(self.row(row, number, strength, header))
            else:
                found += self.line(number, strength)
                number += 1
            blank = False
        return found

    def strength(self, number, blank, before):
        """Score of a cut before a line.

        Args:
            blank: whether the line above is blank.
            before: the atoms above.
        """
        if not before:
            return PARAGRAPH
        structure, end = self.structure, self.text[before[-1].end - 1]
        if number in structure.blocks:
            return PARAGRAPH if end in ENDS else BLOCK
        if number in structure.items:
            return NESTED_ITEM if structure.items[number] else ITEM
        if number in structure.code and number - 1 in structure.code:
            return LINE
        if number in structure.rows:
            return PART
        if number in structure.lists:
            return PART if blank else _after(end)
        if blank:
            return PARAGRAPH if end in ENDS else BLOCK
        return _after(end)

    def row(self, start, stop, strength, header):
        """The atom of a table's row, with the table's header above its first row."""
        begin, end = self.begins[start], self.begins[stop] - 1
        above = "" if header is None else self.text[self.begins[header[0]] : self.begins[header[1]]]
        words = self.words[stop] - self.words[start]
        return _Atom(begin, end, strength, words, self.count(begin, end), True, above)

    def line(self, number, strength):
        """The atoms of a line: its words; long words are cut."""
        line, begin = self.lines[number], self.begins[number]
        code, found = number in self.structure.code, []
        for match in re.finditer(r"\S+", line):
            # Code keeps its indentation.
            first = begin if code and not found else begin + match.start()
            end = begin + match.end()
            cuts = [first, end]
            if end - first >= LONG_WORD or self.count(first, end) >= LONG_WORD // 2:
                places = (bisect_left(self.tokens, place) for place in (first + 1, end))
                inside = self.tokens[slice(*places)]
                # A mark belongs to the letter before it.
                marks = (unicodedata.category(self.text[cut])[0] == "M" for cut in inside)
                cuts[1:1] = [cut for cut, mark in zip(inside, marks, strict=True) if not mark]
            for start, stop in zip(cuts, cuts[1:], strict=False):
                if start > first:
                    strength = CUT_AFTER.get(self.text[start - 1], INSIDE)
                tokens = self.count(start, stop)
                found.append(_Atom(start, stop, strength, int(start == first), tokens))
            strength = WORD if code else _after(self.text[end - 1])
        return found


class _Atom(NamedTuple):
    """An indivisible piece: its place, its size, and a score for a cut before it.

    `header` is what a part that begins with this row of a table repeats.
    """

    begin: int
    end: int
    strength: int
    words: int
    tokens: int
    row: bool = False
    header: str = ""


def _after(character):
    """Score of a cut after a word with a given last character, in the same paragraph."""
    return SENTENCE if character in ENDS else WORD
