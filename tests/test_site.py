"""The documentation site: its checks find what is wrong, and its generated pages are complete."""

import importlib.util
import sys
from pathlib import Path

import pytest

import tf_helen
import zoo

ROOT = Path(__file__).parents[1]
SCORE = "examples/serving/score.c"


def tool(name: str):
    """Loads a file of docs/tools, which is no package."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", ROOT / f"docs/tools/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('<a href="b.html#there">x</a><img src="data:image/png;base64,">', []),
        ('<a href="https://example.com/">x</a><a href="mailto:a@b.c">y</a>', []),
        ('<a href="nosuch.html">x</a>', ["a.html: no file for nosuch.html"]),
        ('<a href="b.html#nosuch">x</a>', ["a.html: no anchor for b.html#nosuch"]),
        ('<a href="#nosuch">x</a>', ["a.html: no anchor for #nosuch"]),
        ('<img src="c.png">', ["a.html: no file for c.png"]),
        ('<img src="https://x.org/i.png">', ["a.html: loads https://x.org/i.png"]),
        ('<link rel="stylesheet" href="//x.org/s.css">', ["a.html: loads //x.org/s.css"]),
        ('<link rel="canonical" href="https://x.org/a.html">', []),
    ],
)
def test_the_check_of_links_finds_what_is_wrong(tmp_path, body, found):
    (tmp_path / "a.html").write_text(body)
    (tmp_path / "b.html").write_text('<h1 id="there">b</h1>')
    assert tool("check_links").problems(tmp_path) == found


def test_an_empty_site_is_wrong(tmp_path):
    assert tool("check_links").problems(tmp_path) == [f"{tmp_path} has no page"]


def test_every_public_name_is_in_the_reference():
    text = "\n".join(tool("reference").reference_pages().values())
    names = [f"tf_helen.{name}" for name in tf_helen.__all__ if name[0] != "_"]
    names += [f"zoo.{name}" for name in zoo.__all__]
    for module in ("rules", "layers", "metrics", "callbacks", "analysis"):
        names.remove(f"tf_helen.{module}")
        names += [f"tf_helen.{module}.{name}" for name in getattr(tf_helen, module).__all__]
    names.remove("tf_helen.optimizers")
    assert not [name for name in names if f"::: {name}\n" not in text]


def test_the_page_of_commands_is_that_of_the_flags():
    stored = (ROOT / "docs" / "commands.md").read_text()
    assert stored == tool("commands").page(), "flags changed: run python docs/tools/commands.py"


def hooks():
    pytest.importorskip("mkdocs", reason="not installed: tf-helen[docs]")
    found = tool("hooks")
    sys.modules.pop("reference", None)
    return found


class _Page:
    """What the hooks read of a page of MkDocs."""

    def __init__(self, path: str):
        self.file = type("File", (), {"src_uri": path})


@pytest.mark.parametrize(
    ("page", "text", "shown"),
    [
        ("data.md", "[zoo](zoo.md#cost)", "[zoo](zoo.md#cost)"),
        ("data.md", "[how](../CONTRIBUTING.md#setting-up)", "[how](contributing.md#setting-up)"),
        ("guides/own-model.md", "[r](../../README.md)", "[r](../index.md)"),
        (
            "data.md",
            "[score.c](../examples/serving/score.c)",
            "score.c (`examples/serving/score.c`)",
        ),
        (
            "data.md",
            "[examples/serving/score.c](../examples/serving/score.c)",
            "examples/serving/score.c",
        ),
        ("data.md", "[x](../nosuch.md)", "[x](../nosuch.md)"),
        ("data.md", "```python skip\n1 / 0\n```", "```python\n1 / 0\n```"),
    ],
)
def test_links_out_of_the_docs_become_names(page, text, shown):
    assert hooks().on_page_markdown(text, _Page(page)) == shown


def test_pages_that_the_navigation_lacks_are_added(tmp_path):
    for name in ("index.md", "new.md", "results/README.md", "results/new.md", "tools/x.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("# x")
    nav = [{"Home": ["index.md"]}, {"Guides": []}, {"Results": ["results/README.md"]}]
    config = type("Config", (), {"nav": nav, "docs_dir": str(tmp_path)})
    assert hooks().on_config(config).nav == [
        {"Home": ["index.md"]},
        {"Guides": ["new.md"]},
        {"Results": ["results/README.md", "results/new.md"]},
    ]
