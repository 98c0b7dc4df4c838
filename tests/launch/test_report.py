"""The report of a run: one page that loads nothing, with the numbers of the run, all escaped."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import commands
import polars as pl
import pytest
from small_clicks import SMALL, prepare_clicks

import zoo
from launch.analysis.runs import load_runs
from launch.datasets.raw import RawData, in_memory
from launch.evaluate import evaluate
from launch.prepare import prepare
from launch.reporting import html
from launch.reporting.run_report import run_report
from launch.run.config import RunConfig
from launch.run.progressive import train_progressively
from launch.run.progressive_settings import Progressive
from launch.run.training import train
from zoo.data.files import DataError

EVIL = "</style><script>alert(1)</script> $\\frac & \"'"


class Page(HTMLParser):
    """The tags, texts and attributes of a page; every tag must be closed."""

    VOID = ("meta", "img")

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.texts, self.attributes, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def images(self) -> list[bytes]:
        found = [value for name, value in self.attributes if name == "src"]
        prefix = "data:image/svg+xml;base64,"
        assert all(value.startswith(prefix) for value in found)
        return [base64.b64decode(value.removeprefix(prefix)) for value in found]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_clicks(tmp_path_factory.mktemp("prepared") / "data")


def config_for(data, out, **changes):
    given = {"model_args": SMALL, "epochs": 2, "batch_size": 64, "progress": False, **changes}
    return RunConfig(data, str(out), **given)


def report(run, **options) -> str:
    return run_report(load_runs([str(run)])[0], progress=False, **options)


def test_the_page_has_the_numbers_of_the_run_and_loads_nothing(data, tmp_path):
    config = config_for(data, tmp_path / "run", callbacks=("embedding_norms",))
    history = train(config)
    text = report(tmp_path / "run", samples=20)
    page = Page(text)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    links = [value for name, value in page.attributes if name in ("href", "src", "srcset")]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "url(" not in text and "@import" not in text
    # Two curves, calibration, frequency, norms by frequency and by epoch.
    assert len(page.images()) == 6
    for image in page.images():
        assert ElementTree.fromstring(image).tag == "{http://www.w3.org/2000/svg}svg"
    for epoch in history.epochs:
        assert f"{epoch.valid_auc:.5f}" in page.texts and f"{epoch.loss:.5f}" in page.texts
    found, _ = evaluate([str(tmp_path / "run")], samples=20, progress=False)
    for name in ("auc", "logloss", "ece"):
        score = found.scores[found.labels[0]][name]
        for value in (score.value, score.low, score.high):
            assert f"{value:.5f}" in page.texts, name
    for text in ("user", "vocabulary", "400", "DeepFM", "seed", "batch_size", "64"):
        assert text in page.texts


def test_every_text_is_escaped(tmp_path):
    """Names of a schema, of files and of settings may hold anything that JSON can."""
    table = pl.DataFrame({"label": [0.0, 1.0] * 40, "user": ["a", "b", "b", "a"] * 20})
    schema = zoo.Schema(EVIL, [zoo.Categorical("user")])
    splits = {name: in_memory(table) for name in ("train", "valid", "test")}
    folder = str(tmp_path / "data <b>")
    prepare(RawData(schema, splits), folder)
    run = tmp_path / "run <i>"
    train(config_for(folder, run, epochs=1))
    settings = json.loads((run / "config.json").read_text())
    settings |= {"optimizer": EVIL, EVIL: {EVIL: [EVIL]}}
    (run / "config.json").write_text(json.dumps(settings))
    published = {"published": {"preset": EVIL, "source": EVIL}}
    (run / "scores.json").write_text(json.dumps(published))
    text = report(run, samples=0)
    page = Page(text)
    assert not {"script", "b", "i"} & (set(page.tags) - {"b"}) and "<script" not in text
    assert [tag for tag in page.tags if tag == "b"] == ["b"] * text.count('class="tile"')
    assert EVIL in page.texts and "data <b>" in "".join(page.texts)
    assert not any(name.startswith("on") for name, _ in page.attributes)


@pytest.mark.slow
def test_a_pass_over_time(data, tmp_path):
    config = config_for(data, tmp_path / "run", progressive=Progressive(slices=5))
    history = train_progressively(config)
    page = Page(report(tmp_path / "run", samples=0))
    for each in history.slices:
        assert f"{each.auc_so_far:.5f}" in page.texts
    assert "AUC of the pass" in page.texts


def test_the_command_writes_the_page_and_names_what_is_wrong(data, tmp_path):
    train(config_for(data, tmp_path / "run", epochs=1))
    done = commands.run("-m", "launch.report", str(tmp_path / "run"), "--samples=0")
    assert done.returncode == 0, done.stderr
    path = Path(tmp_path / "run" / "report.html")
    assert done.stdout == f"written to {path}\n"
    assert Page(path.read_text()).images()
    for arguments, message in (
        ((), "name one folder of a run"),
        (("a", "b"), "received 'a', 'b'"),
        ((str(tmp_path / "absent"),), "no folder"),
        ((str(tmp_path / "run"), "--samples=-1"), "--samples=-1"),
        ((str(tmp_path / "run"), "--split=nosuch"), "nosuch"),
    ):
        done = commands.run("-m", "launch.report", *arguments)
        assert done.returncode == 1 and message in done.stderr, done.stderr


def test_damaged_files_are_named(data, tmp_path):
    train(config_for(data, tmp_path / "run", epochs=1))
    (tmp_path / "run" / "scores.json").write_text("{")
    with pytest.raises(DataError, match=r"scores\.json is damaged"):
        report(tmp_path / "run", samples=0)


def test_a_page_is_part_of_its_run(data, tmp_path):
    """A run with a report can be replaced."""
    config = config_for(data, tmp_path / "run", epochs=1)
    train(config)
    (tmp_path / "run" / "report.html").write_text("a page")
    train(config_for(data, tmp_path / "run", epochs=1, overwrite=True))
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("cells", "kind"), [(["1", "2.5"], "number"), (["-", "1"], "number"), (["a", "1"], "")]
)
def test_numbers_of_a_table_are_on_the_right(cells, kind):
    text = html.table(["x"], [[cell] for cell in cells])
    assert re.findall('<td class="(.*?)">', text) == [kind] * 2
