"""Checksums and rows of a data folder, read once for several runs."""

from __future__ import annotations

from typing import Any

import zoo
from zoo.data.identity import data_identity
from zoo.data.manifest import load_manifest
from zoo.data.memory import RowsInMemory

MOST_ROWS = 2_000_000  # 330 MB at 40 columns


class DataMemory:
    """Keeps the checksums of a data folder, and its rows if they are at most `most_rows`.

    Args:
        data: prepared data folder; it must not change while this object is used.
        most_rows: int, most rows of all splits together. If there are more, none are kept, and a
            run reads them from the files in every epoch. Defaults to 2,000,000.

    Example:
        >>> DataMemory("data/frappe").identity["columns"]  # doctest: +SKIP
    """

    def __init__(self, data: str, most_rows: int = MOST_ROWS):
        self._data = data
        self._identity: dict[str, Any] | None = None
        self._splits: dict[tuple[str, bool, bool], tuple[RowsInMemory, zoo.Ledger]] = {}
        # A folder without a manifest does not say how many rows it has.
        known = [split.total_rows for split in load_manifest(data).values()]
        self._fits = bool(known) and None not in known and sum(known) <= most_rows

    @property
    def identity(self) -> dict[str, Any]:
        """The checksums of the folder, see `zoo.data.identity.data_identity`."""
        if self._identity is None:
            self._identity = data_identity(self._data)
        return self._identity

    def split(
        self,
        name: str,
        schema: zoo.Schema,
        ledger: zoo.Ledger,
        max_lost: float,
        group: bool = False,
        time: bool = False,
    ) -> RowsInMemory | None:
        """Returns a split, or `None` if the rows are not kept.

        Args:
            name: string, name of the split, such as "train".
            schema: `zoo.Schema`, the columns.
            ledger: `zoo.Ledger` that receives the account of damaged records in each call.
            max_lost: float, share of the records that may be lost.
            group: bool, whether the features contain the group. Defaults to `False`.
            time: bool, whether they contain the time. Defaults to `False`.
        """
        if not self._fits:
            return None
        key = name, group, time
        if key not in self._splits:
            account = zoo.Ledger()
            try:
                rows = RowsInMemory(self._data, name, schema, account, max_lost, group, time)
            finally:
                _add(account, ledger)
            self._splits[key] = rows, account
            return rows
        rows, account = self._splits[key]
        account.check(max_lost)
        _add(account, ledger)
        return rows


def _add(account: zoo.Ledger, ledger: zoo.Ledger) -> None:
    for file in account.files.values():
        ledger.add(file)
