"""Reads configuration files as data, and names the line of each mistake.

Snakemake reads configuration files with YTE. YTE runs code in a file that asks for it, even in a
dry run. It takes the last value of a key that is given twice, and expands aliases of aliases until
the memory is full. The profiles and the Snakefile make it read them by `read`.
"""

import json
import re
from collections import Counter
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.yaml_words import misread

LARGEST = 20_000_000  # bytes of a file
MOST, DEEPEST = 1_000_000, 100  # values of a file with its aliases expanded, and their nesting
INDENTED = re.compile(rf"^(?: |[-?:] ?){{{DEEPEST}}}", re.MULTILINE)


def read(source):
    """The content of a configuration file, YAML or JSON.

    Args:
        source: path, or an open text file.

    Raises:
        UserError: the file cannot be read, is not YAML, asks for code to be run, gives a key
            twice, holds a number that YAML reads as another one, or grows without bounds when its
            aliases are expanded.
    """
    opened = hasattr(source, "read")
    path = source.name if opened else source
    try:
        text = source.read() if opened else Path(source).read_text("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: this file does not exist") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8; save it as UTF-8") from None
    if len(text) > LARGEST:
        raise UserError(f"{path}: found {len(text)} characters, expected at most {LARGEST}")
    found = _json(path, text)
    if found is None:
        found = _yaml(path, text)
    if not isinstance(found, dict):
        raise UserError(f"{path}: found {json.dumps(found, default=str)[:60]}, expected keys")
    return found


def _json(path, text):
    """The content of a file that is JSON, or None. YAML would read its 1e-3 as text."""

    def unique(pairs):
        for name, count in Counter(name for name, _ in pairs).items():
            if count > 1:
                raise UserError(f"{path}: {name}: is given twice; remove one of them")
        return dict(pairs)

    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        return None


def _yaml(path, text):
    import yaml

    try:
        if _may_be_deep(text):
            _refuse_deep(path, yaml.parse(text, Loader=_loader()))
        loader = _loader()(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return {}
            if mistakes := [*_mistakes(root, "&" in text)]:
                raise UserError("\n".join(f"{path}:{line}: {said}" for line, said in mistakes))
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        tabs = "; indent with spaces" if "\t" in text else ""
        raise UserError(
            f"{path}:{mark.line + 1}: this is not YAML: {error.problem}{tabs}"
        ) from None
    except (
        yaml.YAMLError,
        ValueError,
    ) as error:  # a character that YAML forbids, or a date such as 99-99
        raise UserError(f"{path}: this is not YAML: {error}") from None


def _loader():
    """The loader of plain data; libyaml's is faster."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _may_be_deep(text):
    """Whether brackets or indentation may nest values beyond the limit."""
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", text):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > DEEPEST:
            return True
    return INDENTED.search(text) is not None


def _refuse_deep(path, events):
    """Raise a UserError if values are nested so deeply that reading them overflows the stack."""
    import yaml

    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            line = event.start_mark.line + 1
            raise UserError(f"{path}:{line}: is nested more than {DEEPEST} levels deep")


def _mistakes(root, aliased):
    """Yield (line, text) for what YAML allows and a configuration does not."""
    if aliased:
        try:
            size = _size(root, {}, set())
        except _EndlessError as error:
            yield error.args[0], "an alias refers to itself; write out the value"
            return
        if size > MOST:
            yield 1, f"its aliases expand to more than {MOST} values; write the values out"
            return
    yield from _keys(root, (), set())
    yield from misread(root)


class _EndlessError(Exception):
    pass


def _size(node, sizes, above):
    """Values in a node when aliases are expanded; remembers those of all nodes in `sizes`."""
    if id(node) in sizes:
        return sizes[id(node)]
    if id(node) in above:
        raise _EndlessError(node.start_mark.line + 1)
    above.add(id(node))
    parts = () if isinstance(node.value, str) else node.value
    size = 1
    for part in parts:
        for each in part if isinstance(part, tuple) else (part,):
            size += _size(each, sizes, above)
    above.discard(id(node))
    sizes[id(node)] = size
    return size


def _keys(node, place, seen):
    """Yield (line, text) for keys that are given twice, or that ask for code to be run."""
    if isinstance(node.value, str) or id(node) in seen:
        return
    seen.add(id(node))
    lines = {}
    for number, item in enumerate(node.value):
        key, value = item if isinstance(item, tuple) else (None, item)
        name = number if key is None else str(key.value)
        if key is not None:
            line = key.start_mark.line + 1
            if not place and name == "__use_yte__":
                yield line, "__use_yte__: code in a configuration is not run; remove this key"
            if first := lines.get((key.tag, name)):
                shown = ".".join(map(str, (*place, name)))
                yield line, f"{shown}: is given twice, first in line {first}; remove one of them"
            lines.setdefault((key.tag, name), line)
        yield from _keys(value, (*place, name), seen)
