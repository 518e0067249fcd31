"""Formats numbers and pictures for the pages."""

import re


def number(value):
    """A number with three digits; a dash if there is none."""
    if value is None or value != value:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(share):
    """A share of 1 in percent; a dash if there is none."""
    return "–" if share is None or share != share else f"{100 * share:.1f} %"


def duration(seconds):
    """Seconds for people: 0.4 is "0.4 s", 384 is "6 min 24 s", 7500 is "2 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def picture(svg, name):
    """An SVG to embed in a page: without prologue, with unique ids.

    Two pictures of one page may hold the same ids, and a reference takes the first.
    """
    svg = svg[svg.index("<svg") :]
    for own in set(re.findall(r'\bid="([^"]+)"', svg)):
        svg = re.sub(rf'(id="|url\(#|href="#){re.escape(own)}(?=["\)])', rf"\g<1>{name}-{own}", svg)
    size = r'\b(width|height)="[\d.]+pt" '
    return re.sub(size, "", svg, count=2)
