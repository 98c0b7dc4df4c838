"""Every data set has a page, every page is linked, and its numbers are those of the loader."""

import re
from pathlib import Path

import pytest

from launch import datasets

PAGES = Path(__file__).parents[3] / "docs" / "datasets"
# Modules of the loaders that compare themselves with published numbers.
PUBLISHED = {
    name: module.PUBLISHED
    for name, module in (
        ("amazon_electronics", datasets.amazon_electronics),
        ("avazu_x4_001", datasets.avazu_x4),
        ("criteo_x1", datasets.criteo_x1),
        ("frappe", datasets.frappe),
        ("ipinyou_x1", datasets.ipinyou_x1),
        ("movielens_latest", datasets.movielens_latest),
        ("taobao_ad", datasets.taobao_ad),
    )
}


def test_each_data_set_has_a_page_that_is_linked():
    index = (PAGES / "README.md").read_text()
    linked = re.findall(r"\]\((\w+)\.md\)", index)
    assert sorted(linked) == datasets.available()
    assert sorted(page.stem for page in PAGES.glob("*.md")) == sorted([*linked, "README"])


@pytest.mark.parametrize("name", datasets.available())
def test_a_page_has_what_it_promises(name):
    text = (PAGES / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert f"--dataset={name}" in text
    assert "| | published | obtained here" in text
    assert "**Source.**" in text or "criteo_x4_001.md" in text
    for target in re.findall(r"\]\(([^)]+\.md)\)", text):
        assert (PAGES / target).exists(), target


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers_are_on_the_page(name):
    text = (PAGES / f"{name}.md").read_text()
    published = PUBLISHED[name]
    numbers = [*published.rows.values(), *([published.features] if published.features else [])]
    for number in numbers:
        assert f"{number:,}" in text
    assert set(published.positives) <= set(published.rows)
