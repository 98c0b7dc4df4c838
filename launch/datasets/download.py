"""Downloads files to a cache folder, and extracts files of zip archives."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import IO

from zoo.data.files import DataError, complete_or_absent
from zoo.data.progress import ProgressBar

_TIMEOUT = 30  # seconds without an answer
_CHUNK = 1 << 20


def cache_folder() -> str:
    """Returns the folder of downloads.

    Returns:
        String, `$TF_HELEN_CACHE`, or `~/.cache/tf-helen` if it is not set.

    Example:
        >>> cache_folder()  # doctest: +SKIP
        '/home/ann/.cache/tf-helen'
    """
    return os.environ.get("TF_HELEN_CACHE", os.path.expanduser("~/.cache/tf-helen"))


def download(url: str, md5: str | None = None) -> str:
    """Downloads a file, unless it is in the cache.

    Args:
        url: string; its last part is the name of the file.
        md5: string, MD5 of the content in hexadecimal. Defaults to `None`: not checked.

    Returns:
        String, path of the local file.

    Raises:
        DataError: if the server cannot be reached or the content differs; says how to download the
            file manually.

    Example:
        >>> download("https://files.grouplens.org/datasets/movielens/ml-1m.zip")  # doctest: +SKIP
        '/home/ann/.cache/tf-helen/ml-1m.zip'
    """
    name = url.partition("?")[0].rsplit("/", 1)[-1]
    path = os.path.join(cache_folder(), name)
    if os.path.exists(path):
        return path
    try:
        with (
            complete_or_absent(path) as temporary,
            urllib.request.urlopen(url, timeout=_TIMEOUT) as answer,
        ):
            size = int(answer.headers.get("Content-Length") or 0) or None
            with open(temporary, "wb") as output:
                found, done = _copy(answer, output, f"downloading {name}", size)
            if size and done != size:
                raise DataError(f"{url} ended after {done:,} of {size:,} bytes; try again")
            if md5 and found != md5:
                raise DataError(
                    f"{url} has the MD5 {found}, expected {md5}; download it manually, check it, "
                    f"and pass --source={name}"
                )
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"cannot download {url} ({getattr(error, 'reason', error)}); download it elsewhere "
            f"and pass --source={name}"
        ) from None
    return path


def unzip(archive: str, members: Mapping[str, str | None]) -> dict[str, str]:
    """Extracts files of a zip archive to the cache, once.

    Args:
        archive: string, local path of a zip file.
        members: dict from file name, in any folder of the archive, to its MD5 or `None`.

    Returns:
        Dict from file name to path.

    Raises:
        DataError: if the archive is missing or damaged, lacks a file, or a file's MD5 differs.

    Example:
        >>> unzip("Frappe_x1.zip", {"train.csv": None})  # doctest: +SKIP
        {'train.csv': '/home/ann/.cache/tf-helen/Frappe_x1/train.csv'}
    """
    if "://" in archive:
        raise DataError(f"{archive} is not a local file; download it and pass the local path")
    stem = os.path.splitext(os.path.basename(archive))[0]
    paths = {name: os.path.join(cache_folder(), stem, name) for name in members}
    try:
        with zipfile.ZipFile(archive) as file:
            entries = {info.filename.rsplit("/", 1)[-1]: info for info in file.infolist()}
            for name, path in paths.items():
                if name not in entries:
                    raise DataError(
                        f"{archive} holds no {name}; it holds {', '.join(sorted(entries)[:10])}"
                    )
                size = entries[name].file_size
                # Files are complete if they exist, so a different size means a different archive.
                if not os.path.exists(path) or os.path.getsize(path) != size:
                    with file.open(entries[name]) as content:
                        _extract(content, path, size, members[name])
    except FileNotFoundError:
        raise DataError(f"--source={archive} does not exist; check the path") from None
    except DataError:
        raise
    # A damaged archive may raise various errors, such as RuntimeError for a password.
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, zlib.error) as error:
        raise DataError(
            f"{archive} cannot be read as a zip archive: {error}; download it again"
        ) from None
    return paths


def _extract(content: IO[bytes], path: str, size: int, md5: str | None) -> None:
    free = shutil.disk_usage(_existing(os.path.dirname(path))).free
    if size > free:
        raise DataError(
            f"{path} needs {size:,} bytes, and the disk has {free:,} free; free some space, or set "
            "TF_HELEN_CACHE to a folder on another disk"
        )
    with complete_or_absent(path) as temporary:
        with open(temporary, "wb") as output:
            found, _ = _copy(content, output, f"extracting {os.path.basename(path)}", size)
        if md5 and found != md5:
            raise DataError(
                f"{os.path.basename(path)} has the MD5 {found}, expected {md5}; download "
                "the archive again, or pass the folder of your own files as --source"
            )


def _existing(folder: str) -> str:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder) or "."
    return folder


def _copy(source: IO[bytes], output: IO[bytes], what: str, size: int | None) -> tuple[str, int]:
    """Copies a stream; returns the MD5 and the number of bytes."""
    md5, done = hashlib.md5(usedforsecurity=False), 0
    with ProgressBar(what, size, "B") as bar:
        for chunk in _chunks(source):
            md5.update(chunk)
            done += output.write(chunk)
            bar.update(len(chunk))
    return md5.hexdigest(), done


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        yield chunk
