"""Pieces of a self-contained HTML page; every text is escaped."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

# Nothing is loaded: images are data of the page, and there is no script.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light; --line: #d8dee4; --soft: #57606a; --back: #f6f8fa; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 1.2rem; color: #1f2328; background: #fff;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
p { margin: .4rem 0; max-width: 72ch; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
nav { margin: .8rem 0; display: flex; flex-wrap: wrap; gap: .2rem .9rem; }
a { color: #0b5cad; }
.tiles { display: grid; gap: .6rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(230px, calc(50% - .3rem)), 1fr)); }
.tile { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .7rem;
  background: var(--back); }
.tile b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.tile small { display: block; color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr));
  gap: 1rem; }
figure { margin: 0; }
.beside { display: grid; gap: 0 1.5rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(430px, 100%), 1fr)); }
figure img { width: 100%; max-width: 600px; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .88rem; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .22rem .7rem .22rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; white-space: nowrap; }
td.text { white-space: normal; overflow-wrap: anywhere; min-width: 12ch; }
td.number, th.number { text-align: right; }
tr.best td { font-weight: 600; }
"""


def escape(text: Any) -> str:
    """Returns a text with `&`, `<`, `>` and quotes escaped.

    Example:
        >>> escape("<b> & 'c'")
        '&lt;b&gt; &amp; &#x27;c&#x27;'
    """
    return html.escape(str(text), quote=True)


def page(title: str, body: Sequence[str]) -> str:
    """Returns an HTML page that loads nothing.

    Args:
        title: string, its title, not yet escaped.
        body: sequence of strings of HTML.

    Returns:
        String.
    """
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            *body,
            "</body></html>\n",
        ]
    )


def section(name: str, title: str, parts: Sequence[str]) -> str:
    """Returns a section; `name` is the target of links to it."""
    return "\n".join(
        [f'<section id="{escape(name)}"><h2>{escape(title)}</h2>', *parts, "</section>"]
    )


def paragraph(text: str, soft: bool = False) -> str:
    """Returns a paragraph, in gray if `soft`."""
    return f"<p{' class=soft' * soft}>{escape(text)}</p>"


def tiles(values: Sequence[tuple[str, str, str]]) -> str:
    """Returns boxes with a name, a value and a remark each."""
    boxes = []
    for name, value, remark in values:
        inner = f"{escape(name)}<b>{escape(value)}</b><small>{escape(remark)}</small>"
        boxes.append(f'<div class="tile">{inner}</div>')
    return f'<div class="tiles">{"".join(boxes)}</div>'


def figures(images: Sequence[tuple[bytes, str]]) -> str:
    """Returns figures side by side, or below each other on a narrow screen.

    Args:
        images: sequence of an SVG image and its caption.
    """
    found = []
    for image, caption in images:
        data = base64.b64encode(image).decode()
        # As an image, the SVG can load and run nothing, and its ids are its own.
        source = f'src="data:image/svg+xml;base64,{data}"'
        text = escape(caption)
        found.append(f'<figure><img {source} alt="{text}"><figcaption>{text}</figcaption></figure>')
    return f'<div class="figures">{"".join(found)}</div>'


def beside(parts: Sequence[str]) -> str:
    """Returns parts side by side, or below each other on a narrow screen."""
    return f'<div class="beside">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def table(titles: Sequence[str], rows: Sequence[Sequence[Any]], best: int | None = None) -> str:
    """Returns a table; numbers are on the right.

    Args:
        titles: sequence of strings.
        rows: sequence of rows of cells.
        best: int, the row in bold. Defaults to `None`.
    """
    kinds = [_kind([row[place] for row in rows]) for place in range(len(titles))]
    head = "".join(
        f"<th{' class=number' * (kind == 'number')}>{escape(title)}</th>"
        for title, kind in zip(titles, kinds, strict=True)
    )
    lines = []
    for number, row in enumerate(rows):
        cells = "".join(
            f'<td class="{kind}">{escape(cell)}</td>' for cell, kind in zip(row, kinds, strict=True)
        )
        lines.append(f"<tr{' class=best' * (number == best)}>{cells}</tr>")
    inner = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="scroll">{inner}</div>'


def facts(values: Mapping[str, Any]) -> str:
    """Returns a table of names and values; of nested dicts a line for each value."""
    return table(["name", "value"], list(_flat(values)))


def _flat(values: Mapping[str, Any], before: str = ""):
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _plain(value)


def _plain(value: Any) -> str:
    if value is None or value in ({}, [], "", ()):
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _kind(cells: Sequence[Any]) -> str:
    texts = [str(cell) for cell in cells]
    if any(len(text) > 40 for text in texts):
        return "text"
    starts = [text.lstrip("+-.")[:1] for text in texts]
    known = [start for start, text in zip(starts, texts, strict=True) if text != "-"]
    return "number" if known and all(start.isdigit() for start in known) else ""
