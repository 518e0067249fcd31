"""mkdocs hooks: the generated reference of the configuration is a page of the site."""

import re
from pathlib import Path

from mkdocs.structure.files import File

SOURCE, PAGE = "../config/README.md", "configuration.md"


def on_files(files, config):
    """Add config/README.md, which lies outside of docs/."""
    text = (Path(config["docs_dir"]) / SOURCE).read_text(encoding="utf-8")
    files.append(File.generated(config, PAGE, content=text.replace("](../docs/", "](")))
    return files


def on_page_markdown(markdown, **_):
    """Point links to config/README.md to its page; other files of the repository are not linked."""
    markdown = markdown.replace(f"]({SOURCE}", f"]({PAGE}")
    return re.sub(r"\[([^]]+)\]\(\.\./[^)]*\)", r"\1", markdown)
