"""Checks the built site: every link, image and anchor within it exists, and nothing is loaded.

`python docs/tools/check_links.py build/site`
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlparse

# Tags that load what they name when the page is read.
LOADING = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
}
# Relations of <link> that load nothing.
NOT_LOADED = {"canonical", "prev", "next", "alternate", "edit"}


class Page(HTMLParser):
    """The links, loaded files and anchors of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects the attributes of a tag."""
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(values[name] for name in ("id", "name") if values.get(name))
        if tag == "link" and values.get("rel") in NOT_LOADED:
            return
        for name in ("href", "src"):
            if name in values:
                loads = (tag, name) in LOADING
                (self.loaded if loads else self.links).append(values[name])


def problems(site: Path) -> list[str]:
    """Returns a line for each link that leads nowhere and each file that is loaded from elsewhere.

    Args:
        site: folder of the built site.
    """
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        for url in [*page.links, *page.loaded]:
            parts = urlparse(url)
            if parts.scheme in ("data", "mailto", "javascript"):
                continue
            if parts.scheme or parts.netloc:
                if url in page.loaded:
                    found.append(f"{name}: loads {url}")
                continue
            target, anchor = urldefrag(urljoin(f"/{name}", url))
            file = site / unquote(target).lstrip("/")
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file():
                found.append(f"{name}: no file for {url}")
            elif anchor and file in pages and unquote(anchor) not in pages[file].anchors:
                found.append(f"{name}: no anchor for {url}")
    return found if pages else [f"{site} has no page"]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/tools/check_links.py SITE")
    wrong = [line for line in problems(Path(sys.argv[1])) if not line.startswith("404.html")]
    print("\n".join(wrong) or "every link leads somewhere, and nothing is loaded from elsewhere")
    sys.exit(bool(wrong))
