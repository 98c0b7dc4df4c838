"""Settings of the access to stores: the cache of staged files, retries and time-outs."""

from __future__ import annotations

import dataclasses
import os
import random
import tempfile
from collections.abc import Iterator

_WHOLE = {"cache_bytes": 1, "attempts": 1, "parallel": 1, "seed": 0}  # lowest values
_SECONDS = ("first_wait", "longest_wait", "timeout")


@dataclasses.dataclass(frozen=True)
class StoreOptions:
    """How files of stores such as `s3://` are read and written.

    Args:
        cache_dir: string, local folder of staged files, which processes may share. Defaults to
            `None`: `tf-helen-cache-USER` in the folder for temporary files.
        cache_bytes: int, at least 1, maximum size of the staged files in bytes. Defaults to 2^34
            (16 GiB).
        attempts: int, at least 1, number of attempts of a request. Defaults to 5.
        first_wait: float, not negative, seconds before the second attempt; doubled before each
            further one. The actual wait is a random share of it, from one half to all. Defaults to
            0.5.
        longest_wait: float, not negative, maximum seconds between two attempts. Defaults to 20.
        timeout: float, above 0, seconds after which a request without an answer is repeated; for
            an upload, in addition to one second per MB. Defaults to 60.
        parallel: int, at least 1, number of simultaneous downloads. Defaults to 8.
        seed: int, not negative, seed of the random waits. Defaults to 0.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> list(StoreOptions(attempts=1).waits("s3://bucket/key"))
        []
    """

    cache_dir: str | None = None
    cache_bytes: int = 1 << 34
    attempts: int = 5
    first_wait: float = 0.5
    longest_wait: float = 20.0
    timeout: float = 60.0
    parallel: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest in _WHOLE.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                raise ValueError(f"`{name}` must be an integer >= {lowest}. Received: {value!r}")
        for name in _SECONDS:
            value = getattr(self, name)
            if isinstance(value, bool) or not value >= 0 or (name == "timeout" and not value):
                above = "> 0" if name == "timeout" else ">= 0"
                raise ValueError(f"`{name}` must be seconds {above}. Received: {value!r}")
        if self.cache_dir is not None and "://" in os.fspath(self.cache_dir):
            raise ValueError(
                f"`cache_dir` must be a local folder. Received: {os.fspath(self.cache_dir)!r}"
            )

    def waits(self, path: str) -> Iterator[float]:
        """Yields the seconds to wait after each failed attempt but the last.

        Args:
            path: string, the file; different files wait for different times.
        """
        share = random.Random(f"{self.seed}/{path}")
        for number in range(self.attempts - 1):
            longest = min(self.longest_wait, self.first_wait * 2**number)
            yield longest * (0.5 + 0.5 * share.random())

    def cache_folder(self) -> str:
        """Returns the folder of staged files, which is created if it is absent.

        Raises:
            ValueError: if the default folder belongs to another user.
        """
        if self.cache_dir is not None:
            folder = os.path.expanduser(os.fspath(self.cache_dir))
            os.makedirs(folder, exist_ok=True)
            return folder
        user = os.getuid() if hasattr(os, "getuid") else 0
        folder = os.path.join(tempfile.gettempdir(), f"tf-helen-cache-{user}")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if hasattr(os, "getuid") and os.stat(folder).st_uid != user:
            raise ValueError(f"{folder} belongs to another user; name a folder by `cache_dir`")
        return folder


_options = StoreOptions()


def store_options() -> StoreOptions:
    """Returns the settings of this process."""
    return _options


def set_store_options(
    *,
    cache_dir: str | None = None,
    cache_bytes: int | None = None,
    attempts: int | None = None,
    first_wait: float | None = None,
    longest_wait: float | None = None,
    timeout: float | None = None,
    parallel: int | None = None,
    seed: int | None = None,
) -> StoreOptions:
    """Changes how this process reads and writes files of stores such as `s3://`.

    Args:
        cache_dir, cache_bytes, attempts, first_wait, longest_wait, timeout, parallel, seed: as of
            `StoreOptions`. Defaults to `None`: as before.

    Returns:
        The `StoreOptions` from now on.

    Raises:
        ValueError: if an argument is out of range; then nothing is changed.

    Example:
        >>> set_store_options(attempts=5).attempts
        5
    """
    global _options
    given = {
        "cache_dir": cache_dir, "cache_bytes": cache_bytes, "attempts": attempts,
        "first_wait": first_wait, "longest_wait": longest_wait, "timeout": timeout,
        "parallel": parallel, "seed": seed,
    }  # fmt: skip
    changed = {name: value for name, value in given.items() if value is not None}
    _options = dataclasses.replace(_options, **changed)  # type: ignore[arg-type]
    return _options
