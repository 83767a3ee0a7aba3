"""For the documentation site: takes the repository's own pages in, and leads links to them.

Pages link to each other as files of the repository do, so that they can be read there too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
# Pages at the root of the repository that are part of the site.
PAGES = ("GUARANTEES.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
# The site draws no diagrams: what draws them comes from elsewhere. Tables beside them say the same.
DIAGRAM = re.compile(r"^```mermaid\n.*?^```\n\n?", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?:\.\./)*(?P<page>[A-Z]+\.md)(?P<anchor>#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root."""
    for name in PAGES:
        content = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name.lower(), content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Without diagrams, and with links to pages of the root led to their copies on the site."""
    up = "../" * page.file.src_uri.count("/")

    def lead(match: re.Match[str]) -> str:
        name, anchor = match["page"], match["anchor"] or ""
        return f"]({up}{name.lower()}{anchor})" if name in PAGES else match[0]

    return LINK.sub(lead, DIAGRAM.sub("", markdown))
