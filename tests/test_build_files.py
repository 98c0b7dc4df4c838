"""Bazel's BUILD files name what there is: Bazel itself is rarely installed where tests run.

Starlark's syntax is Python's, so the files are parsed, not run.
"""

import ast
from pathlib import Path

import pytest

from launch import console

ROOT = Path(__file__).parents[1]
PACKAGES = ("tf_helen", "zoo", "launch")
BUILDS = [ROOT / "BUILD", *(ROOT / name / "BUILD" for name in (*PACKAGES, "tests"))]
PATHS = ("srcs", "main", "data")  # attributes that name files


def lists(tree: ast.Module) -> dict[str, list[str]]:
    """The lists of strings that a BUILD file names: `{"ROOMS": ["core", ...]}`."""
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
    }


def rules(tree: ast.Module) -> list[dict[str, ast.expr]]:
    """The arguments of each rule that a BUILD file calls, those in comprehensions too."""
    return [
        {keyword.arg: keyword.value for keyword in node.keywords}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and any(keyword.arg == "name" for keyword in node.keywords)
    ]


def written(value: ast.expr) -> list[str]:
    """The strings written in an attribute, without the patterns of `glob` and parts of sums."""
    if isinstance(value, ast.Constant):
        return [value.value] if isinstance(value.value, str) else []
    if isinstance(value, ast.List):
        return [text for item in value.elts for text in written(item)]
    if isinstance(value, ast.BinOp) and isinstance(value.left, (ast.List, ast.Call, ast.BinOp)):
        return written(value.left) + written(value.right)
    return []


def targets(folder: Path) -> set[str]:
    """The names of a BUILD file's rules; `[rule(name = x) for x in LIST]` makes one of each."""
    tree = ast.parse((folder / "BUILD").read_text())
    named, found = lists(tree), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ListComp) and isinstance(node.generators[0].iter, ast.Name):
            found.update(named.get(node.generators[0].iter.id, ()))
    for rule in rules(tree):
        found.update(written(rule["name"]))
    if folder.name == "tests":
        found |= {
            path.relative_to(folder).with_suffix("").as_posix()
            for path in folder.rglob("test_*.py")
        }
    return found


def exists(label: str, folder: Path) -> bool:
    """Whether a label, `//zoo`, `//zoo:data`, `:data` or a file's name, names something."""
    where, _, name = label.rpartition(":") if ":" in label else (label, "", "")
    if where.startswith("//"):
        folder = ROOT / where[2:]
        name = name or folder.name
    elif not name:
        name = label
    if not (folder / "BUILD").is_file():
        return False
    return name in targets(folder) or (folder / name).is_file()


@pytest.mark.parametrize(
    ("label", "there"),
    [
        ("//zoo", True),
        ("//tf_helen:core", True),
        ("//tests:tf_helen/test_metrics", True),
        ("//:pyproject.toml", True),
        ("py.typed", True),
        (":core", True),
        ("//nosuch", False),
        ("//zoo:core", False),
        ("//tests:tf_helen/test_nosuch", False),
        ("nosuch.py", False),
    ],
)
def test_the_check_finds_targets_and_files(label, there):
    assert exists(label, ROOT / "tf_helen") == there


@pytest.mark.parametrize("path", BUILDS, ids=lambda path: path.parent.name)
def test_every_label_names_a_target_or_a_file(path):
    seen, wrong = 0, []
    for rule in rules(ast.parse(path.read_text())):
        for attribute in (*PATHS, "deps", "tests"):
            for label in written(rule.get(attribute, ast.List(elts=[]))):
                seen += 1
                if not exists(label, path.parent):
                    wrong.append(f"{attribute}: {label}")
    assert seen and not wrong, wrong


@pytest.mark.parametrize("package", ["tf_helen", "zoo"])
def test_every_folder_of_a_package_is_a_target(package):
    folders = {path.parent.name for path in (ROOT / package).glob("*/*.py")}
    named = lists(ast.parse((ROOT / package / "BUILD").read_text()))["ROOMS"]
    assert named and set(named) == folders and len(named) == len(folders)


def test_every_command_is_a_target():
    named = lists(ast.parse((ROOT / "launch" / "BUILD").read_text()))["COMMANDS"]
    assert sorted(named) == console.commands()
