"""Hooks of MkDocs: pages that come from other files, and pages that no navigation lists."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))  # MkDocs loads a hook by its path
from reference import ROOT, reference_pages

# Files of the repository that are pages of the site too.
COPIED = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#:]+)(#[^)]*)?\)")
_SKIPPED = re.compile(r"^```(\w+) skip$", re.MULTILINE)
# Sections whose remaining pages are listed by themselves, with the folder of the pages.
_SECTIONS = {"Data sets": "datasets", "Results": "results"}
_OTHERS = "Guides"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the pages that the navigation does not list."""
    listed = set(_pages(config.nav))
    docs = Path(config.docs_dir)
    found = sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))
    for section in config.nav:
        ((title, pages),) = section.items()
        for path in found:
            folder = path.rpartition("/")[0]
            if path in listed or path.startswith("tools/"):
                continue
            if folder == _SECTIONS.get(title) or (title == _OTHERS and not folder):
                pages.append(path)
                listed.add(path)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that come from other files of the repository."""
    pages = {page: _of_the_site((ROOT / name).read_text("utf-8")) for page, name in COPIED.items()}
    for page, text in {**pages, **reference_pages()}.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Names files of the repository outside docs/ instead of linking to them."""
    markdown = _SKIPPED.sub(r"```\1", markdown)
    folder = Path(page.file.src_uri).parent
    return _LINK.sub(lambda link: _kept(link, folder), markdown)


def _of_the_site(text: str) -> str:
    """Returns a page of the root with links that are right within docs/."""
    text = re.sub(r"\]\((?:docs/|(?=\w+/))", lambda m: "](" if "docs" in m[0] else "](../", text)
    for page, name in COPIED.items():
        text = text.replace(f"]({name}", f"]({page}")
    return text.replace("](README.md", "](index.md")


def _kept(link: re.Match[str], folder: Path) -> str:
    """Returns a link, changed if it leaves docs/.

    It then leads to the page that is a copy of its file; without one only its text is left, which
    names the file.
    """
    text, target, place = link[1], link[2], link[3] or ""
    path = (ROOT / "docs" / folder / target).resolve()
    if path.is_relative_to(ROOT / "docs") or not path.exists():
        return link[0]
    name = path.relative_to(ROOT).as_posix()
    for page, copied in {**COPIED, "index.md": "README.md"}.items():
        if name == copied:
            return f"[{text}]({'../' * len(folder.parts)}{page}{place})"
    return text if name in text else f"{text} (`{name}`)"


def _pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    if isinstance(nav, dict):
        return [page for value in nav.values() for page in _pages(value)]
    return [page for item in nav for page in _pages(item)]
