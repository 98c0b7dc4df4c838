"""Counts of records read and records lost, by file and offset."""

from __future__ import annotations

import os
import posixpath
from dataclasses import asdict, dataclass, field

from zoo.data.columns import SchemaMismatchError
from zoo.data.files import DataError, write_json

MAX_LOST = 1e-4  # share of the records of a split that may be lost
_SHOWN = 5  # damaged places printed per file


@dataclass(frozen=True)
class Damage:
    """One damaged place in a record file.

    Args:
        offset: byte at which the damage starts (of the decompressed content for GZIP).
        reason: the kind of damage, such as "data checksum".
        exact: True if exactly one record is lost there, False if more may be lost. Defaults to
            True.
        misfit: True if the record is intact but the schema does not allow its content. Defaults to
            False.
        rows: number of rows of the record, as far as known. Defaults to 1.

    Example:
        >>> Damage(123, "data checksum").reason
        'data checksum'
    """

    offset: int
    reason: str
    exact: bool = True
    misfit: bool = False
    rows: int = 1


@dataclass
class FileAccount:
    """Records read and lost of one file.

    Args:
        file: path of the file.
        read: rows that can be read.
        lost: rows that cannot be read.
        exact: False if `lost` is only a lower bound.
        damages: the damaged places.
        blocks: whether a record holds many rows. Defaults to False.

    Example:
        >>> FileAccount("a.tfrecord", read=9, lost=1, damages=[Damage(70, "data checksum")]).line()
        'a.tfrecord: 1 damaged record skipped at byte 70 (data checksum), 9 rows read'
    """

    file: str
    read: int
    lost: int = 0
    exact: bool = True
    damages: list[Damage] = field(default_factory=list)
    blocks: bool = False

    def line(self) -> str:
        """Returns one readable line about this file."""
        name = posixpath.basename(self.file)
        if not self.damages:
            return f"{name}: no damage, {self.read:,} rows read"
        at_least = "" if self.exact else "at least "
        records = "record" if self.lost == 1 else "records"
        what = f"{at_least}{self.lost:,} damaged {records}"
        if self.blocks:
            what = f"damaged blocks of {at_least}{self.lost:,} row{'s' * (self.lost != 1)}"
        places = ", ".join(f"byte {d.offset} ({d.reason})" for d in self.damages[:_SHOWN])
        if len(self.damages) > _SHOWN:
            places += f" and {len(self.damages) - _SHOWN} more places"
        return f"{name}: {what} skipped at {places}, {self.read:,} rows read"


def mismatch(file: str, damage: Damage) -> str:
    """Returns the error message for a file that does not match the schema.

    Args:
        file: path of the file.
        damage: its first record that does not match.

    Returns:
        The error message.

    Example:
        >>> mismatch("a.tfrecord", Damage(0, "the label is 7.0", misfit=True))
        'a.tfrecord, record at byte 0: the label is 7.0; the file and the schema do not belong ...'
    """
    return (
        f"{file}, record at byte {damage.offset}: {damage.reason}; the file and the schema do not "
        "belong together, prepare the data again"
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
        """Adds the counts of a file; later counts of the same file replace earlier ones.

        Args:
            account: the counts of the file.

        Example:
            >>> Ledger().add(FileAccount("a.tfrecord", 9))
        """
        self._accounts[account.file] = account

    @property
    def files(self) -> dict[str, FileAccount]:
        """Counts of each file, by path."""
        return dict(self._accounts)

    @property
    def total_read(self) -> int:
        """Number of rows that can be read, over all files."""
        return sum(account.read for account in self._accounts.values())

    @property
    def total_lost(self) -> int:
        """Number of rows lost, over all files; a lower bound if that of any file is one."""
        return sum(account.lost for account in self._accounts.values())

    @property
    def exact(self) -> bool:
        """Whether `total_lost` is exact rather than a lower bound."""
        return all(account.exact for account in self._accounts.values())

    def check(self, max_lost: float = MAX_LOST) -> None:
        """Raises `DataError` if too many records are lost.

        Args:
            max_lost: float from 0 to 1, share of all records that may be lost.

        Raises:
            SchemaMismatchError: if that many intact records do not match the schema.
            DataError: if too many records are lost, or none can be read.

        Example:
            >>> ledger = Ledger()
            >>> ledger.add(FileAccount("a.tfrecord", 9, 1, True, [Damage(70, "data checksum")]))
            >>> ledger.check(max_lost=0.1)
        """
        accounts, total = self._accounts.values(), self.total_read + self.total_lost
        misfits = [(a.file, damage) for a in accounts for damage in a.damages if damage.misfit]
        if sum(damage.rows for _, damage in misfits) > max_lost * total:
            raise SchemaMismatchError(mismatch(*misfits[0]))
        damaged = [account.line() for account in accounts if account.damages]
        if not self.total_read:
            raise DataError(
                f"no readable record in {len(accounts)} files ({next(iter(self._accounts), '')} "
                f"...); prepare the data again. {' '.join(damaged[:_SHOWN])}".rstrip()
            )
        if self.total_lost > max_lost * total:
            at_least = "" if self.exact else "at least "
            what = "rows" if any(account.blocks for account in accounts) else "records"
            go_on = ", or raise max_lost" if self.total_lost < total / 2 else ""
            raise DataError(
                f"{at_least}{self.total_lost:,} of {total:,} {what} are lost, a share of "
                f"{self.total_lost / total:.2g}, allowed is max_lost={max_lost:.2g}: "
                f"{'; '.join(damaged[:_SHOWN])}. Copy the files or prepare the data again{go_on}"
            )

    def report(self) -> str:
        """Describes the losses: one line per file that lost records, then the totals.

        Returns:
            String without a final newline.

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
        """Writes all counts as JSON, completely or not at all.

        Args:
            path: file to write.

        Raises:
            tf.errors.OpError: if the file system refuses.

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
