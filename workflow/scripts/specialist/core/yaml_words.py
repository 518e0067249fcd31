"""Words that YAML 1.1 reads differently from how they look: 9:30 is 570, and no is false."""

import re

NUMBER = re.compile(r"[-+]?(0[0-7_]+|[0-9_]+(:[0-5]?[0-9])+(\.[0-9_]*)?)")  # octal, base 60
TAGS = {f"tag:yaml.org,2002:{kind}": kind for kind in ("int", "float", "bool", "timestamp")}
PLAIN = ("true", "false")


def misread(root, text=False):
    """Yield (line, what is wrong) for scalars without quotes that are not what they look like.

    These are numbers with a colon or a leading zero.

    Args:
        root: a node, as `yaml.compose` returns it.
        text: whether yes, no, on, off and dates count too, as where a value may be text.
    """
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if not isinstance(node.value, str):
            for item in reversed(node.value):
                waiting += reversed(item) if isinstance(item, tuple) else [item]
        elif not node.style and _is_misread(node, text):
            yield node.start_mark.line + 1, f"found {node.value}, {_remedy(node)}"


def _is_misread(node, text):
    kind, word = TAGS.get(node.tag), node.value
    if kind in ("int", "float"):
        return NUMBER.fullmatch(word) is not None
    return text and (kind == "timestamp" or kind == "bool" and word.lower() not in PLAIN)


def _remedy(node):
    import yaml

    kind, value = TAGS[node.tag], yaml.safe_load(node.value)
    if kind == "timestamp":
        return "which YAML reads as a date; put quotes around it"
    shown = str(value).lower()
    return f"which YAML reads as {shown}; write {shown}, or put quotes around it if it is text"
