"""The account of records read and records lost, by file and offset."""

import os
import posixpath
from dataclasses import asdict, dataclass, field

from zoo.files import write_json

_SHOWN = 5  # damaged places printed per file


@dataclass(frozen=True)
class Damage:
    """One damaged place in a record file.

    Args:
        offset: Byte at which the damage starts (of the decompressed content for GZIP).
        reason: What is wrong there, e.g. "data checksum".
        exact: True if exactly one record is lost there, False if it may be more.

    Example:
        >>> Damage(123, "data checksum").reason
        'data checksum'
    """

    offset: int
    reason: str
    exact: bool = True


@dataclass
class FileAccount:
    """What was read from one file and what was lost.

    Args:
        file: Path of the file.
        read: Records that can be read.
        lost: Records that cannot.
        exact: False if `lost` is only a lower bound.
        damages: The damaged places.

    Example:
        >>> FileAccount("a.tfrecord", read=9, lost=1, damages=[Damage(70, "data checksum")]).line()
        'a.tfrecord: 1 damaged record skipped at byte 70 (data checksum), 9 rows read'
    """

    file: str
    read: int
    lost: int = 0
    exact: bool = True
    damages: list[Damage] = field(default_factory=list)

    def line(self) -> str:
        """Returns one readable line about this file."""
        name = posixpath.basename(self.file)
        if not self.damages:
            return f"{name}: no damage, {self.read:,} rows read"
        at_least = "" if self.exact else "at least "
        records = "record" if self.lost == 1 else "records"
        places = ", ".join(f"byte {d.offset} ({d.reason})" for d in self.damages[:_SHOWN])
        if len(self.damages) > _SHOWN:
            places += f" and {len(self.damages) - _SHOWN} more places"
        return (
            f"{name}: {at_least}{self.lost:,} damaged {records} skipped at {places}, "
            f"{self.read:,} rows read"
        )


class Ledger:
    """Counts records read and lost over any number of files.

    Example:
        >>> ledger = Ledger()
        >>> ledger.add(FileAccount("a.tfrecord", 9, 1, True, [Damage(70, "data checksum")]))
        >>> ledger.total_lost, ledger.total_read
        (1, 9)
    """

    def __init__(self) -> None:
        self._accounts: dict[str, FileAccount] = {}

    def add(self, account: FileAccount) -> None:
        """Records the account of a file; a later account of the same file replaces it.

        Args:
            account: What was read and lost.

        Example:
            >>> Ledger().add(FileAccount("a.tfrecord", 9))
        """
        self._accounts[account.file] = account

    @property
    def files(self) -> dict[str, FileAccount]:
        """Account of each file, by path."""
        return dict(self._accounts)

    @property
    def total_read(self) -> int:
        """Records that can be read, over all files."""
        return sum(account.read for account in self._accounts.values())

    @property
    def total_lost(self) -> int:
        """Records lost, over all files (a lower bound if a file's count is one)."""
        return sum(account.lost for account in self._accounts.values())

    @property
    def exact(self) -> bool:
        """Whether `total_lost` is exact rather than a lower bound."""
        return all(account.exact for account in self._accounts.values())

    def report(self) -> str:
        """Describes the losses: one line per file that lost records, then the totals.

        Returns:
            Text without a final newline.

        Example:
            >>> ledger = Ledger()
            >>> ledger.add(FileAccount("a.tfrecord", 9))
            >>> ledger.report()
            '1 files: 9 rows read, 0 lost'
        """
        lines = [account.line() for account in self._accounts.values() if account.damages]
        at_least = "" if self.exact else "at least "
        lines.append(
            f"{len(self._accounts):,} files: {self.total_read:,} rows read, "
            f"{at_least}{self.total_lost:,} lost"
        )
        return "\n".join(lines)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the whole account as JSON, completely or not at all.

        Args:
            path: File to write.

        Raises:
            tf.errors.OpError: If the file system refuses.

        Example:
            >>> import tempfile
            >>> Ledger().save(tempfile.mkdtemp() + "/ledger.json")
        """
        write_json(
            os.fspath(path),
            {
                "total_read": self.total_read,
                "total_lost": self.total_lost,
                "exact": self.exact,
                "files": [asdict(account) for account in self._accounts.values()],
            },
        )
