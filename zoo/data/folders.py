"""Replaces folders so that a folder gets its name only when it is complete.

While a folder is written, its name is `.NAME.partial`. Where two folders cannot be exchanged in one
step, the old one is renamed to `.NAME.replaced` until the new one has its name.
"""

import ctypes
import errno
import functools
import os
import posixpath
from collections.abc import Callable

from tf_helen.core.folders import is_remote, remove_folder
from tf_helen.stores import gfile
from zoo.data.files import join

_HERE = -100  # AT_FDCWD: names are relative to the working directory
_EXCHANGE = 2  # RENAME_EXCHANGE
# Errors of kernels and file systems without this call, and of mount points.
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EBUSY, errno.EXDEV)


def partial_folder(out: str) -> str:
    """Returns the name of the folder in which a new version is prepared.

    Args:
        out: the final folder.

    Returns:
        The name of a hidden folder in the same parent folder.

    Example:
        >>> partial_folder("data/frappe")
        'data/.frappe.partial'
    """
    return _beside(out, "partial")


def final_folder(out: str | os.PathLike[str]) -> str:
    """Resolves a folder name; a link to a folder is followed.

    Args:
        out: the folder name given by the user.

    Returns:
        The resolved name without a final "/".

    Example:
        >>> final_folder("data/frappe/")
        'data/frappe'
    """
    out = os.fspath(out)
    out = out.rstrip("/") or out
    return os.path.realpath(out) if not is_remote(out) and os.path.islink(_local(out)) else out


def publish_folder(partial: str, out: str, last: str) -> None:
    """Gives a finished folder its final name and replaces an existing folder.

    On local Linux file systems this is one atomic step: at every instant either the old or the new
    folder exists as a whole. On other file systems the old folder is renamed first;
    `restore_folder` restores it if the process is killed before the new one has its name. Object
    stores cannot rename folders: the old files are copied aside, and the new ones are moved one by
    one, `last` at the end, so that a reader who checks for `last` finds all files or none.

    Args:
        partial: the finished folder.
        out: its final name; an existing folder is removed.
        last: a file whose presence means that the folder is complete.

    Raises:
        tf.errors.OpError: if the file system refuses; the old folder is then unchanged.

    Example:
        >>> import tempfile
        >>> from zoo.data.files import read_text, write_text
        >>> folder = tempfile.mkdtemp()
        >>> write_text(join(folder, "new", "data", "a.txt"), "one")
        >>> write_text(join(folder, "new", "index"), "a.txt")
        >>> publish_folder(join(folder, "new"), join(folder, "final"), last="index")
        >>> read_text(join(folder, "final", "data", "a.txt"))
        'one'
    """
    restore_folder(out, last)
    if is_remote(out):
        _publish_files(partial, out, last)
    elif not gfile.exists(out):
        gfile.rename(partial, out)
    elif exchange(_local(partial), _local(out)):
        remove_folder(partial)  # the old folder
    else:
        replaced = _beside(out, "replaced")
        gfile.rename(out, replaced)
        gfile.rename(partial, out)
        remove_folder(replaced)


def restore_folder(out: str, last: str) -> None:
    """Cleans up after a process that was killed while it replaced a folder.

    If the new folder did not get its name, the old one gets it back.

    Args:
        out: the final folder.
        last: the file whose presence means that the folder is complete.

    Raises:
        tf.errors.OpError: if the file system refuses.

    Example:
        >>> restore_folder("data/frappe", "manifest.json")
    """
    replaced = _beside(out, "replaced")
    if not gfile.exists(replaced):
        return
    if not gfile.exists(join(out, last)):
        if not gfile.exists(join(replaced, last)):
            return  # neither is complete, so there is nothing to restore
        if gfile.exists(out):
            remove_folder(out)
        if not is_remote(out):
            gfile.rename(replaced, out)
            return
        _each_file(replaced, out, last, gfile.copy)
    remove_folder(replaced)


def was_interrupted(out: str, last: str) -> bool:
    """Returns whether a killed process left a folder incomplete.

    Args:
        out: the final folder.
        last: the file whose presence means that the folder is complete.

    Returns:
        Boolean; if `True`, `out` may be replaced, because a complete version is next to it.

    Example:
        >>> was_interrupted("data/frappe", "manifest.json")
        False
    """
    waiting = (_beside(out, "replaced"), partial_folder(out))
    return not gfile.exists(join(out, last)) and any(
        gfile.exists(join(folder, last)) for folder in waiting
    )


def exchange(one: str, other: str) -> bool:
    """Exchanges the names of two local files or folders in one step, if the system supports it.

    Args:
        one: a name.
        other: another name.

    Returns:
        Boolean; `False` if the system or file system does not support it, and nothing changed.

    Raises:
        OSError: if a file does not exist, or the file system refuses.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> for name in "ab":
        ...     os.mkdir(os.path.join(folder, name))
        >>> exchange(os.path.join(folder, "a"), os.path.join(folder, "b"))  # doctest: +SKIP
        True
    """
    renameat2 = _renameat2()
    if renameat2 is None:
        return False
    if not renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        return True
    error = ctypes.get_errno()
    if error in _CANNOT:
        return False
    raise OSError(error, os.strerror(error), one, None, other)


@functools.cache
def _renameat2() -> Callable | None:
    """Returns `renameat2` of the C library, which Python does not offer."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):  # another system, or an older library
        return None
    path = (ctypes.c_int, ctypes.c_char_p)  # relative to an open folder
    function.argtypes = (*path, *path, ctypes.c_uint)
    return function


def _publish_files(partial: str, out: str, last: str) -> None:
    replaced = _beside(out, "replaced")
    if gfile.exists(join(out, last)):
        _each_file(out, replaced, last, gfile.copy)
        gfile.remove(join(out, last))  # a reader finds no folder rather than a mixture
    if gfile.exists(out):
        remove_folder(out)
    _each_file(partial, out, last, gfile.rename)
    for folder in (partial, replaced):
        if gfile.exists(folder):
            remove_folder(folder)


def files_of(folder: str) -> list[str]:
    """Returns the names of the files of a folder and of its folders, relative to it, in order.

    Args:
        folder: string, local or remote.

    Example:
        >>> files_of("absent")
        []
    """
    folder = folder.rstrip("/")
    return sorted(
        posixpath.join(parent, name)[len(folder) :].lstrip("/")
        for parent, _, names in gfile.walk(folder)
        for name in names
    )


def _each_file(source: str, target: str, last: str, transfer: Callable[..., None]) -> None:
    """Copies or renames the files of a folder, `last` at the end."""
    for name in sorted(files_of(source), key=lambda name: name == last):
        path = join(target, name)
        gfile.makedirs(posixpath.dirname(path))
        transfer(join(source, name), path, overwrite=True)


def _beside(out: str, what: str) -> str:
    folder, name = posixpath.split(out.rstrip("/"))
    return posixpath.join(folder, f".{name}.{what}")


def _local(path: str) -> str:
    return path.removeprefix("file://")
