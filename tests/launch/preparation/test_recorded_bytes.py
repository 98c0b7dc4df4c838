"""A prepared folder has the bytes recorded before the passes were divided into parts."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from kinds import some
from small_tables import CASES, prepared

RECORDED = Path(__file__).parents[2] / "data" / "prepared_bytes.json"
_STATISTIC = re.compile(rb"(?<=\"mean\": |.\"std\": )[-+.0-9e]+")


def checksums(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.name == "report.json":  # the order of its reasons depended on threads then
            content = json.dumps(json.loads(content), sort_keys=True).encode()
        if path.name == "schema.json":  # means and deviations were rounded several times then
            content = _STATISTIC.sub(lambda found: b"%.14g" % float(found[0]), content)
        found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


@pytest.mark.parametrize(
    ("case", "memory"),
    some([(case, memory) for case in CASES for memory in (None, 20_000)], [("random", 20_000)]),
)
def test_the_bytes_are_those_recorded(tmp_path, monkeypatch, case, memory):
    """Also if most of the distinct values do not fit into the memory that they may take."""
    monkeypatch.chdir(tmp_path)  # the report names the damaged lines by their paths
    found = checksums(prepared(case, Path("work"), memory=memory))
    assert found == json.loads(RECORDED.read_text())[case]
