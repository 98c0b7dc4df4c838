"""The ledger of lost records: what it says, and when losses are too many."""

import json

import pytest

from zoo import DataError, Ledger, SchemaMismatchError
from zoo.data.ledger import Damage, FileAccount


def ledger_of(*accounts: FileAccount) -> Ledger:
    ledger = Ledger()
    for account in accounts:
        ledger.add(account)
    return ledger


DAMAGED = FileAccount("x/b.tfrecord", 9_990, 10, True, [Damage(70, "data checksum")])
WHOLE = FileAccount("x/a.tfrecord", 10_000)


def test_losses_are_an_error_from_a_share_on():
    ledger = ledger_of(WHOLE, DAMAGED)
    ledger.check(max_lost=10 / 20_000)
    with pytest.raises(DataError) as caught:
        ledger.check()
    for words in [
        "10 of 20,000 records", "0.0005", "max_lost=0.0001", "b.tfrecord", "byte 70",
        "data checksum", "or prepare the data again, or raise max_lost",
    ]:  # fmt: skip
        assert words in str(caught.value)
    ledger_of(WHOLE).check(max_lost=0.0)


def test_a_lower_bound_is_called_one():
    account = FileAccount("a.tfrecord", 9, 1, False, [Damage(70, "truncated record", False)])
    with pytest.raises(DataError, match="at least 1 of 10 records"):
        ledger_of(account).check()


def test_records_that_do_not_fit_are_a_mismatch():
    misfits = [Damage(80 * i, f"the label is {i}.5", misfit=True) for i in range(1, 4)]
    ledger = ledger_of(WHOLE, FileAccount("x/c.tfrecord", 9_997, 3, True, misfits))
    with pytest.raises(SchemaMismatchError, match=r"x/c\.tfrecord, record at byte 80: .* 1\.5"):
        ledger.check()
    ledger.check(max_lost=0.001)


def test_nothing_read_is_an_error_whatever_the_share():
    account = FileAccount("a.tfrecord", 0, 5, True, [Damage(0, "data checksum")])
    with pytest.raises(DataError, match="no readable record in 1 files"):
        ledger_of(account).check(max_lost=1.0)


def test_the_report_and_the_file_tell_every_loss(tmp_path):
    ledger = ledger_of(WHOLE, DAMAGED)
    assert ledger.report().splitlines() == [
        "b.tfrecord: 10 damaged records skipped at byte 70 (data checksum), 9,990 rows read",
        "2 files: 19,990 rows read, 10 lost",
    ]
    ledger.save(tmp_path / "ledger.json")
    saved = json.loads((tmp_path / "ledger.json").read_text())
    assert (saved["total_read"], saved["total_lost"], saved["exact"]) == (19_990, 10, True)
    assert saved["files"][1]["damages"] == [
        {"offset": 70, "reason": "data checksum", "exact": True, "misfit": False, "rows": 1}
    ]
