"""Articles of a knowledge base: their text, and the front matter that exports put above it."""

import json
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from specialist.core.errors import UserError

MARKDOWN = {".md"}  # suffixes, in lower case
# Every chunk of an article stores its front matter, so it must be small.
MOST_CHARACTERS, DEEPEST = 16_384, 16
KEY = re.compile(r"""["']?\w[\w .-]*["']?\s*[:=](\s|$)""")


@dataclass(frozen=True)
class Article:
    """An article without its front matter.

    Attributes:
        source: path below the folder of the knowledge base, such as "faq/refunds.md".
        title: title in the front matter, or "".
        metadata: the other keys of the front matter; values are text, lists and dicts.
        lines: lines of the text, without line ends.
        markdown: whether the text is Markdown.
    """

    source: str
    title: str
    metadata: dict
    lines: list
    markdown: bool

    @property
    def name(self):
        """The source without its suffix, in words: what an article without a title is called."""
        return str(Path(self.source).with_suffix("")).replace("-", " ").replace("_", " ")

    def matches(self, wanted):
        """Whether the front matter has, under each key, one of the wanted texts.

        Args:
            wanted: {key: text, or list of texts}.
        """
        for key, allowed in wanted.items():
            value = self.metadata.get(key, [])
            values = value if isinstance(value, list) else [value]
            allowed = allowed if isinstance(allowed, list) else [allowed]
            if not {str(item) for item in values}.intersection(allowed):
                return False
        return True


def read_article(path, source):
    """Read an article.

    Args:
        path: *.md or *.txt, UTF-8. A document that was converted has another suffix in `source`.
        source: path below the folder of the knowledge base.

    Raises:
        UserError: the article is not UTF-8 or holds no text, or its front matter is not valid.
    """
    data = Path(path).read_bytes()
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; save the "
            "article in the encoding UTF-8"
        ) from error
    markdown, metadata = Path(path).suffix.lower() in MARKDOWN, {}
    if markdown:
        metadata, lines = _split_front_matter(path, lines)
    if not any(map(str.strip, lines)):
        below = " below its front matter" if metadata else ""
        raise UserError(f"{path}: the article is empty{below}; write it or remove the file")
    named = next((key for key in metadata if key.lower() == "title"), None)
    title = metadata.pop(named, "")
    if not isinstance(title, (str, int, float)):
        raise UserError(f"{path}, front matter, title: found {title!r}, expected text")
    return Article(source, " ".join(str(title).split()), metadata, lines, markdown)


def chunk_records(article, cutter):
    """Yield the records of an article's chunks: {"id", "source", "title", "text"}.

    They have "intro" where the chunk is searched with the article's introduction, and "metadata"
    where the front matter has keys besides the title.

    Args:
        article: an `Article`.
        cutter: `specialist.rag.chunks.Cutter`.
    """
    kept = {"metadata": article.metadata} if article.metadata else {}
    for number, (title, text, intro) in enumerate(cutter.introduced(article)):
        record = {"id": f"{article.source}#{number}", "source": article.source, "title": title}
        yield record | {"text": text, **({"intro": intro} if intro else {}), **kept}


def _split_front_matter(path, lines):
    """({key: value} of the front matter, lines below it).

    A `---` is also a thematic break in Markdown. It opens front matter if another one follows
    and a line `key:` comes directly below it, perhaps after comments, as in the exports of
    Jekyll, Hugo, Docusaurus and Obsidian. Hugo also writes an object of JSON there.
    """
    fence = lines[0].rstrip() if lines else ""
    if fence == "{" or fence.startswith('{"'):
        return _split_json(path, lines)
    closing = {"---": ("---", "..."), "+++": ("+++",)}.get(fence, ())
    stop = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() in closing), None)
    if stop is None:
        return {}, lines
    inside = [line for line in lines[1:stop] if line.strip()]
    first = next((line for line in inside if not line.startswith("#")), "")
    section = fence == "+++" and first.startswith("[")
    if inside and not (lines[1].strip() and (KEY.match(first) or section)):
        return {}, lines
    text = "\n".join(lines[1:stop])
    _check_size(path, len(text))
    # The first line of the file is the fence.
    found = _toml(path, text) if fence == "+++" else _yaml(path, "\n" + text)
    return found, lines[stop + 1 :]


def _split_json(path, lines):
    """The same for an article that begins with an object of JSON."""

    def unique(pairs):
        for name, count in Counter(name for name, _ in pairs).items():
            if count > 1:
                raise ValueError(f"the key {name} stands there twice; remove one")
        return dict(pairs)

    text = "\n".join(lines)
    # Numbers stay text, as in YAML.
    decoder = json.JSONDecoder(
        object_pairs_hook=unique, parse_float=str, parse_int=str, parse_constant=str
    )
    try:
        found, end = decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}, front matter: this is not JSON: {error}; correct it, or put a blank line "
            "above a { that belongs to the text"
        ) from None
    _check_size(path, end)
    return found, text[end:].split("\n") if text[end:].strip() else []


def _check_size(path, characters):
    if characters > MOST_CHARACTERS:
        raise UserError(
            f"{path}, front matter: found {characters} characters, expected at most "
            f"{MOST_CHARACTERS}; move text below it"
        )


def _toml(path, text):
    try:
        # Numbers stay text: JSON has no NaN, and a version 1.50 is not 1.5.
        found = tomllib.loads(text, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}, front matter: this is not TOML: {error}") from None
    return json.loads(json.dumps(found, default=str))


def _yaml(path, text):
    """Front matter in YAML. Scalars stay text, so that `no`, `9:30` and `1.10` keep their form."""
    import yaml

    depth = 0
    try:
        # Check the events first: composing follows nested values and aliases without a limit.
        for event in yaml.parse(text, Loader=yaml.BaseLoader):
            if isinstance(event, yaml.AliasEvent):
                _refuse(path, event, f"found the alias *{event.anchor}, expected its value")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                _refuse(path, event, f"found more than {DEEPEST} levels of nesting")
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(
            f"{path}{line}: the front matter is not YAML: {getattr(error, 'problem', error)}; "
            "quote text that holds a colon, or put a blank line below a `---` that is a rule"
        ) from None
    if node is not None and not isinstance(node, yaml.MappingNode):
        _refuse(path, node, "found no `key: value`, expected one on each line")
    return {} if node is None else _value(path, node)


def _value(path, node):
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_value(path, item) for item in node.value]
    found = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            _refuse(path, key, "found a list or mapping as a key, expected text")
        if key.value in found:
            _refuse(path, key, f"found the key {key.value} twice; remove one")
        found[key.value] = _value(path, value)
    return found


def _refuse(path, place, text):
    raise UserError(f"{path}, line {place.start_mark.line + 1}, front matter: {text}")
