"""The pages of docs/ and README.md: their Python runs, and their numbers of memory are correct.

Every block marked ```python runs; the blocks of a page run in order, in one namespace. A block that
is not a complete program is marked ```python skip; shell, formulas and output have other marks.
docs/legacy.md needs another Keras and is not run here. `make test-all` also runs the blocks marked
```sh of the pages in `COMMANDS`.
"""

import re
from pathlib import Path

import keras
import numpy as np
import page_commands
import pytest
import tensorflow as tf

import tf_helen

ROOT = Path(__file__).parents[1]
OPTIMIZERS = ROOT / "docs" / "optimizers.md"
ELSEWHERE = {"legacy.md"}
FENCE = re.compile(r"^```(.*)\n((?:(?!```).*\n)*)^```$", re.MULTILINE)
ROW = re.compile(r"^\| `([^|]+)` \| (\d+) \| (\d+) \|", re.MULTILINE)


def python_blocks(text: str) -> list[tuple[int, str]]:
    """The runnable blocks of a page: (line of its first statement, code)."""
    return [
        (text[: match.start(2)].count("\n") + 1, match.group(2))
        for match in FENCE.finditer(text)
        if match.group(1).strip() == "python"
    ]


def run_blocks(text: str, name: str) -> int:
    """Runs a page's blocks in order, in one namespace, and returns how many there were."""
    namespace: dict = {"__name__": "__main__"}
    blocks = python_blocks(text)
    for line, code in blocks:
        # The line numbers of a traceback are the page's.
        exec(compile("\n" * (line - 1) + code, name, "exec"), namespace)
    return len(blocks)


def pages() -> list[Path]:
    """README.md and the pages of docs/ that hold runnable blocks."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        page for page in found if page.name not in ELSEWHERE and python_blocks(page.read_text())
    ]


@pytest.fixture
def eager():
    """Examples take few steps, so tracing graphs would be most of their time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
def test_examples_run(page, eager, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an example may write files
    assert run_blocks(page.read_text(), str(page))


# Pages whose shell blocks run, each group in one folder.
COMMANDS = [
    ("quick-start.md",),
    ("guides/csv-to-serving.md", "guides/choosing-an-optimizer.md"),
    ("guides/own-model.md",),
    ("guides/coming-from-others.md",),
]


@pytest.mark.slow
@pytest.mark.parametrize("group", COMMANDS, ids=lambda group: Path(group[0]).stem)
def test_commands_run(group, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in group:
        assert page_commands.run_page(ROOT / "docs" / name, str(tmp_path))


def test_a_command_that_fails_is_reported(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\ntrue\n```\n\n```sh skip\nfalse\n```\n\n```sh\nfalse | cat\n```\n")
    with pytest.raises(RuntimeError, match=r"(?s)page\.md.*false \| cat"):
        page_commands.run_page(page, str(tmp_path))


def test_a_block_that_fails_is_reported_at_its_line():
    page = (
        "# A page\n\n```sh\nfalse\n```\n\n```python\na = 1\n```\n\n```python\nassert a == 2\n```\n"
    )
    with pytest.raises(AssertionError) as failure:
        run_blocks(page, "page.md")
    assert failure.traceback[-1].lineno + 1 == 12


def test_only_blocks_marked_python_run():
    page = "```python skip\n1 / 0\n```\n\n```text\n1 / 0\n```\n\n```\n1 / 0\n```\n"
    assert run_blocks(page, "page.md") == 0


# The table of memory: its first column is an expression over the names of tf_helen, and `counts`.

TABLE = ROW.findall(OPTIMIZERS.read_text()) if OPTIMIZERS.exists() else []


def optimizer_of(expression: str, rows: int) -> keras.optimizers.Optimizer:
    """The optimizer of a row of the table; a class is made with its defaults."""
    value = eval(expression, {**vars(tf_helen), "counts": np.ones(rows)})
    return value() if isinstance(value, type) else value


def state_bytes(expression: str, rows: int, width: int, dtype: str = "float32") -> int:
    """Bytes of all variables of an optimizer that was built on one table."""
    optimizer = optimizer_of(expression, rows)
    table = keras.Variable(tf.zeros((rows, width)), dtype=dtype, name="embedding")
    optimizer.build([table])
    values = [tf.convert_to_tensor(variable) for variable in optimizer.variables]
    return sum(value.dtype.size * value.shape.num_elements() for value in values)


def measured(expression: str, dtype: str = "float32") -> tuple[float, float]:
    """Bytes per weight, and bytes per row independent of its width."""
    per_row = {}
    for width in (3, 8):
        # What does not grow with the table, such as the step counter, cancels.
        sizes = [state_bytes(expression, rows, width, dtype) for rows in (40, 100)]
        per_row[width] = (sizes[1] - sizes[0]) / 60
    per_weight = (per_row[8] - per_row[3]) / 5
    return per_weight, per_row[3] - 3 * per_weight


@pytest.mark.parametrize(("expression", "per_weight", "per_row"), TABLE)
def test_memory_is_what_the_table_says(expression, per_weight, per_row):
    assert measured(expression) == (int(per_weight), int(per_row))


def test_slots_of_half_precision_tables_are_float32():
    assert measured("Adam", "bfloat16") == measured("Adam", "float32") == (8, 0)


@pytest.mark.parametrize("cls", tf_helen.optimizers.CLASSES, ids=lambda cls: cls.__name__)
def test_every_optimizer_has_a_section_a_row_and_an_example(cls):
    name, text = cls.__name__, OPTIMIZERS.read_text()
    assert name in {expression.split("(")[0] for expression, _, _ in TABLE}
    sections = re.split(r"^###? ", text, flags=re.MULTILINE)
    own = [section for section in sections if section.splitlines()[0] == name]
    assert len(own) == 1
    assert re.search(rf"tf_helen\.{name}\(", own[0])
    assert python_blocks(own[0])
    for expression, per_weight, per_row in TABLE:
        if expression == name and int(per_weight) and "besides that of its base" not in own[0]:
            assert f"Memory: {per_weight} bytes per weight" in own[0]
            assert int(per_row) == 0 or f"{per_row} bytes per row" in own[0]
    assert re.search(r"^Memory.*time", own[0], re.MULTILINE | re.IGNORECASE)
    assert f"`{name}`" in (ROOT / "docs" / "contents.md").read_text()
