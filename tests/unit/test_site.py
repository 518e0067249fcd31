"""Every page of the documentation is on the site."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_site_has_every_page():
    named = set(re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert named - {"configuration.md"} == pages  # made from config/README.md
