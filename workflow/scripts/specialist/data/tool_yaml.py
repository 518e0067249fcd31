"""Reads tools.yaml and refuses values that YAML reads differently from how they look."""

import math

import yaml

from specialist.core.yaml_words import misread
from specialist.data.files import read_text

MOST_VALUES = 100_000  # in the file when its aliases are written out


def read_yaml(path, mistakes):
    """The value of a YAML file, which JSON can hold.

    It refuses duplicate keys, keys and values that YAML reads as other than JSON's
    types, and aliases that refer to themselves or that make the file too large.

    Returns:
        (value, node): the node is what `written` takes.
    """
    text = read_text(path, mistakes)
    mistakes.stop()
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, None
        if problem := _too_large(node):
            mistakes.add(path, text=problem)
            mistakes.stop()
        _check_keys(node, mistakes, path, set())
        for line, problem in misread(node):
            mistakes.add(f"{path}:{line}", text=problem)
        mistakes.stop()
        value = loader.construct_document(node)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else path
        mistakes.add(place, text=f"found no YAML ({getattr(error, 'problem', error)})")
        mistakes.stop()
    finally:
        loader.dispose()
    _check_plain(value, mistakes, path)
    mistakes.stop()
    return value, node


def written(node, path):
    """The text of the value at a path, as it stands in the file; None if it is no scalar."""
    for key in path:
        if isinstance(node, yaml.SequenceNode):
            node = node.value[key]
            continue
        pairs = {name.value: child for name, child in node.value if isinstance(name.value, str)}
        if key not in pairs:
            return None  # it comes from a merged group
        node = pairs[key]
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _children(node):
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _too_large(node):
    sizes = {}  # of a node; None while its children are counted

    def count(node):
        if id(node) not in sizes:
            sizes[id(node)] = None
            sizes[id(node)] = 1 + sum(map(count, _children(node)))
        if sizes[id(node)] is None:
            raise yaml.YAMLError("an alias refers to itself")
        return sizes[id(node)]

    if count(node) > MOST_VALUES:
        return f"its aliases make more than {MOST_VALUES:,} values; remove some"
    return None


def _check_keys(node, mistakes, path, done):
    if id(node) in done:
        return
    done.add(id(node))
    if isinstance(node, yaml.MappingNode):
        found = set()
        for key, _ in node.value:
            place = f"{path}:{key.start_mark.line + 1}"
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                name = key.value if isinstance(key, yaml.ScalarNode) else "a list or group of keys"
                text = f"found {name} as a name, which YAML does not read as text; "
                mistakes.add(place, text=text + "put quotes around it")
            elif key.value in found:
                mistakes.add(place, text=f"found {key.value} twice in one group; remove one")
            else:
                found.add(key.value)
    for child in _children(node):
        _check_keys(child, mistakes, path, done)


def _check_plain(value, mistakes, place, *path):
    if isinstance(value, (dict, list)):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            _check_plain(child, mistakes, place, *path, key)
    elif isinstance(value, float) and not math.isfinite(value):
        mistakes.add(place, *path, text=f"found {value}, expected a finite number; change it")
    elif value is not None and not isinstance(value, (str, int, float)):
        text = f"found a {type(value).__name__} ({value}), expected text or a number; "
        mistakes.add(place, *path, text=text + "put quotes around it if it is text")
