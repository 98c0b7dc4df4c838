"""Finds the Python interpreter that py_binary and py_test run with."""

_BUILD = """\
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")
load("@rules_python//python:defs.bzl", "py_runtime")

py_runtime(
    name = "runtime",
    interpreter_path = "{python}",
    python_version = "PY3",
)

py_runtime_pair(
    name = "pair",
    py3_runtime = ":runtime",
)

toolchain(
    name = "toolchain",
    toolchain = ":pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)
"""

def _local_python_impl(ctx):
    python = ctx.os.environ.get("TF_HELEN_PYTHON", "")
    if not python:
        # Not resolved further: a virtual environment is recognised by the link's own folder.
        venv = ctx.path(Label("//:WORKSPACE")).dirname
        for name in (".venv", "bin", "python"):
            venv = venv.get_child(name)
        found = venv if venv.exists else ctx.which("python3")
        if not found:
            fail("no Python: set TF_HELEN_PYTHON, run `make venv`, or install python3")
        python = str(found)
    if not python.startswith("/"):
        fail("TF_HELEN_PYTHON must be an absolute path, got " + python)
    ctx.file("BUILD", _BUILD.format(python = python))

local_python = repository_rule(
    implementation = _local_python_impl,
    doc = "Takes $TF_HELEN_PYTHON (an absolute path), else .venv/bin/python, else python3.",
    environ = ["TF_HELEN_PYTHON", "PATH"],
    # Looked up again at each start of the server: .venv may have come since.
    configure = True,
    local = True,
)
