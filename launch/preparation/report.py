"""The report of a preparation: printed, written to the folder, compared with published counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launch.advice import one_class_line
from launch.datasets.raw import Published
from launch.preparation.passes import Counted
from zoo.data.columns import Categorical
from zoo.data.files import join, write_json
from zoo.data.manifest import load_manifest
from zoo.data.schema import Schema

FILE_NAME = "report.json"


def write_report(
    directory: str, counted: Counted, changed: Mapping[str, int], published: Published | None
) -> dict[str, Any]:
    """Writes `report.json` to a prepared folder.

    Args:
        directory: string, the folder, with schema and manifest.
        counted: `Counted`, the result of the first pass.
        changed: dict from reason to the number of changed values.
        published: `Published` counts of the data set, or `None`.

    Returns:
        Dict, the report.

    Example:
        >>> write_report("data/frappe", counted, {}, None)["features"]  # doctest: +SKIP
        5382
    """
    schema, splits = Schema.load(directory), load_manifest(directory)
    report = {
        "dataset": schema.name,
        "rows": {name: split.total_rows for name, split in splits.items()},
        "positives": {name: split.positives for name, split in splits.items()},
        "features": sum(_features(f) for f in schema.categorical if f.shares is None),
        "fields": {field.name: _features(field) for field in schema.categorical},
        "damaged_rows": counted.damaged,
        "damaged_lines": counted.lines,
        "left_out_rows": counted.left_out,
        "changed_values": dict(sorted(changed.items())),
    }
    if published is not None:
        report["published"] = _compared(report, published)
        report["published_in"] = published.where
    write_json(join(directory, FILE_NAME), report)
    return report


def summary(report: Mapping[str, Any], schema: Schema) -> str:
    """Returns a report as text.

    Args:
        report: dict, the result of `write_report`.
        schema: `Schema`, the columns.

    Returns:
        String, several lines.

    Example:
        >>> print(summary(report, schema))  # doctest: +SKIP
        split    rows   positives
    """
    rows = report["rows"]
    width = max(len(f"{count:,}") for count in rows.values())
    lines = [f"{'split':<8} {'rows':>{width}}   positives"]
    for name in _in_order(rows):
        share = report["positives"][name] / rows[name]
        lines.append(f"{name:<8} {rows[name]:>{width},}   {share:>8.2%}")
    lines += ["", f"{'field':<24} {'features':>10}"]
    for name, count in report["fields"].items():
        lines.append(f"{name:<24} {count:>10,}")
    lines.append(f"{len(report['fields']):>3} fields in all {'':<9} {report['features']:>10,}")
    for column in schema.numeric:
        lines.append(
            f"{column.name:<24} number ({column.transform}), mean {column.mean:.6g}, std "
            f"{column.std:.6g}"
        )
    lines += _listed("skipped {:,} damaged rows: {}", report["damaged_rows"])
    lines += [f"  {line}" for line in report["damaged_lines"]]
    lines += _listed("left out {:,} rows: {}", report["left_out_rows"])
    lines += _listed("changed {:,} {}", report["changed_values"])
    lines += _comparison(report)
    for name in _in_order(rows):
        if report["positives"][name] in (0, rows[name]):
            value = 1 if report["positives"][name] else 0
            lines.append(f"warning: {one_class_line(name, rows[name], value, schema.label)}")
    return "\n".join(lines)


def _features(field: Categorical) -> int:
    """Returns the number of distinct values with an own id."""
    return field.size - 1 - (field.missing == "bucket" and field.length == 1)


def _compared(report: Mapping[str, Any], published: Published) -> list[dict[str, Any]]:
    pairs = [
        (f"{split} rows", number, report["rows"].get(split))
        for split, number in published.rows.items()
    ]
    for split, share in published.positives.items():
        rows = report["rows"].get(split)
        obtained = round(report["positives"][split] / rows, 4) if rows else None
        pairs.append((f"{split} positives", share, obtained))
    if published.features is not None:
        pairs.append(("features", published.features, report["features"]))
    return [
        {"what": what, "published": known, "obtained": obtained, "equal": _equal(known, obtained)}
        for what, known, obtained in pairs
    ]


def _equal(published: float, obtained: float | None) -> bool:
    if obtained is None:
        return False
    # Shares are published with a few digits.
    exact = isinstance(published, int)
    return published == obtained if exact else abs(published - obtained) < 5e-4


def _comparison(report: Mapping[str, Any]) -> list[str]:
    if "published" not in report:
        return []
    title = f"published in {report['published_in']}"
    lines = ["", f"{title:<32} {'published':>12} {'obtained':>12}"]
    for entry in report["published"]:
        known, obtained = (_figure(entry[key]) for key in ("published", "obtained"))
        mark = "" if entry["equal"] else "  DIFFERS"
        lines.append(f"{entry['what']:<32} {known:>12} {obtained:>12}{mark}")
    return lines


def _figure(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2%}"


def _listed(text: str, counts: Mapping[str, int]) -> list[str]:
    return [text.format(count, reason) for reason, count in sorted(counts.items())]


def _in_order(names: Mapping[str, Any]) -> Sequence[str]:
    usual = ("train", "valid", "test")
    return [n for n in usual if n in names] + sorted(set(names) - set(usual))
