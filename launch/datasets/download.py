"""Downloads to a cache folder, checked; and files out of zip archives."""

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

from tqdm import tqdm

from zoo.data.files import DataError, complete_or_absent

_TIMEOUT = 30  # seconds without an answer
_CHUNK = 1 << 20


def cache_folder() -> str:
    """Names the folder of downloads.

    Returns:
        `$TF_HELEN_CACHE`, else `~/.cache/tf-helen`.

    Example:
        >>> cache_folder()  # doctest: +SKIP
        '/home/ann/.cache/tf-helen'
    """
    return os.environ.get("TF_HELEN_CACHE", os.path.expanduser("~/.cache/tf-helen"))


def download(url: str, md5: str | None = None) -> str:
    """Downloads a file once; later calls find it in the cache.

    Args:
        url: Address; its last part is the name of the file.
        md5: MD5 of the content in hexadecimal, or None if nobody publishes it.

    Returns:
        Path of the local file.

    Raises:
        DataError: If the server cannot be reached or the content is another; says what to do by
            hand.

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
                raise DataError(f"{url} broke off after {done:,} of {size:,} bytes; try again")
            if md5 and found != md5:
                raise DataError(
                    f"{url} has the MD5 {found}, expected {md5}; download it by hand, check it, "
                    f"and give --source={name}"
                )
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"cannot download {url} ({getattr(error, 'reason', error)}); download it elsewhere "
            f"and give --source={name}"
        ) from None
    return path


def unzip(archive: str, members: Mapping[str, str | None]) -> dict[str, str]:
    """Extracts files of a zip archive to the cache, once.

    Args:
        archive: Local path of a zip file.
        members: Names of the files, in whatever folder of the archive they lie, and their MD5 or
            None.

    Returns:
        Path of each file by name.

    Raises:
        DataError: If the archive is missing or damaged, lacks a file, or a file's MD5 is another.

    Example:
        >>> unzip("Frappe_x1.zip", {"train.csv": None})  # doctest: +SKIP
        {'train.csv': '/home/ann/.cache/tf-helen/Frappe_x1/train.csv'}
    """
    if "://" in archive:
        raise DataError(f"{archive} is on another machine; download it and give the local path")
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
                # Complete files only appear under their names, so the size tells whose they are.
                if not os.path.exists(path) or os.path.getsize(path) != size:
                    with file.open(entries[name]) as content:
                        _extract(content, path, size, members[name])
    except FileNotFoundError:
        raise DataError(f"--source={archive} does not exist; check the path") from None
    except DataError:
        raise
    # Of a damaged archive zipfile raises many kinds, such as RuntimeError of a password.
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, zlib.error) as error:
        raise DataError(
            f"{archive} cannot be read as a zip archive: {error}; get it again"
        ) from None
    return paths


def _extract(content: IO[bytes], path: str, size: int, md5: str | None) -> None:
    free = shutil.disk_usage(_existing(os.path.dirname(path))).free
    if size > free:
        raise DataError(
            f"{path} needs {size:,} bytes and the disk has {free:,} left; make room, or set "
            "TF_HELEN_CACHE to a folder on another disk"
        )
    with complete_or_absent(path) as temporary:
        with open(temporary, "wb") as output:
            found, _ = _copy(content, output, f"extracting {os.path.basename(path)}", size)
        if md5 and found != md5:
            raise DataError(
                f"{os.path.basename(path)} has the MD5 {found}, published is {md5}; get the "
                "archive again, or give the folder of your own files as --source"
            )


def _existing(folder: str) -> str:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder) or "."
    return folder


def _copy(source: IO[bytes], output: IO[bytes], what: str, size: int | None) -> tuple[str, int]:
    """Copies a stream; returns the MD5 and the number of bytes."""
    md5, done = hashlib.md5(usedforsecurity=False), 0
    with tqdm(total=size, unit="B", unit_scale=True, desc=what, disable=None, leave=False) as bar:
        for chunk in _chunks(source):
            md5.update(chunk)
            done += output.write(chunk)
            bar.update(len(chunk))
    return md5.hexdigest(), done


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        yield chunk
