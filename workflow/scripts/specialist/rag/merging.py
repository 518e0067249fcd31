"""Merges sections of an article that are too short to be found by themselves."""


def merged(sections, least, words, fits, heading):
    """Merge each section of fewer than `least` words with a neighbour, if both fit into a chunk.

    Only siblings, or a section and its own parts, are merged. The chunk keeps the headings that
    they share as its title, and the others in its text.

    Args:
        sections: (headings above, first line, line after the last), in order.
        words: function from (first line, line after the last) to a number of words.
        fits: function from (first line, line after the last, headings) to a bool.
        heading: function from a section's first line to that of its heading.

    Returns:
        list of sections
    """
    found = []
    for trail, start, stop in sections:
        if found:
            above, begin, end = found[-1]
            common = _common(above, trail)
            first = begin if common == above else heading(begin)
            small = min(words(begin, end), words(start, stop)) < least
            near = len(common) >= max(len(above), len(trail)) - 1
            if small and near and fits(first, stop, common):
                found[-1] = (common, first, stop)
                continue
        found.append((trail, start, stop))
    return found


def _common(one, other):
    """The headings that two sections share."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return one[:count]
