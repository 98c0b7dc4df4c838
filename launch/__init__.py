"""Commands: run each module with `python -m launch.NAME` or `tf-helen NAME`."""

import importlib.util
import os
import sys

# Python sets `-m` while it looks for launch.NAME; "tf-helen" is the console command.
_IS_COMMAND = sys.argv[:1] == ["-m"] or os.path.basename(sys.argv[0]) == "tf-helen"
if _IS_COMMAND:  # before the imports, which take seconds
    from launch.interrupts import quit_on_interrupt

    quit_on_interrupt()


def _check_keras() -> None:
    """Checks the version of Keras before a module of this package imports it.

    The check is loaded from its path: `import tf_helen` would import the whole package.
    """
    package = importlib.util.find_spec("tf_helen")
    if package is None:
        return
    path = f"{package.submodule_search_locations[0]}/requirements.py"
    spec = importlib.util.spec_from_file_location("launch._requirements", path)
    requirements = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(requirements)
    requirements.check_keras()


try:
    _check_keras()
except ImportError as error:
    if not _IS_COMMAND or error.name != "keras":
        raise
    sys.exit(f"error: {error}")

if _IS_COMMAND:
    from launch.quiet_start import import_tensorflow

    import_tensorflow()
