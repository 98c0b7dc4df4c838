"""Exports a run as a SavedModel that takes raw features and returns probabilities.

Example: `python -m launch.export --run=out/frappe --data=data/frappe --out=out/served`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import flags

from launch import cli
from launch.quiet import quiet
from launch.run.data import check_vocabularies
from launch.run.training import load_best
from launch.serving.card import quality_card, run_card
from launch.serving.quality import check_quality, quality_of
from tf_helen.core.checks import one_of
from tf_helen.core.folders import remove_folder
from tf_helen.stores import gfile
from zoo.data.folders import final_folder, partial_folder
from zoo.data.locks import FolderLock
from zoo.serving.delta import FILE as DELTA
from zoo.serving.delta import write_delta
from zoo.serving.export import check_export, export_saved_model
from zoo.serving.model_card import read_card
from zoo.serving.replaceable import check_export_folder, check_replaceable
from zoo.serving.stored_tables import FORMATS, StoredTable, stored_tables
from zoo.serving.user_once import check_user_columns
from zoo.serving.warmup import WARMUP_REQUESTS, check_warmup

MAX_AUC_LOSS = 0.001
_FLAGS = flags.FLAGS


def export_run(
    run: str,
    data: str,
    out: str,
    *,
    tables: str = "float32",
    drop_zero_rows: bool = False,
    max_auc_loss: float = MAX_AUC_LOSS,
    user: Sequence[str] = (),
    warmup_requests: int = WARMUP_REQUESTS,
    evaluation: str | None = None,
    since: str | None = None,
    report: Callable[[str], Any] = lambda line: None,
) -> str:
    """Exports the best epoch of a run; see `export_saved_model`.

    Args:
        run: string, folder of the run.
        data: string, prepared data folder of the run, or a copy; its record files are needed only
            to measure the loss of quantized tables.
        out: string, folder to write.
        tables: "float32", "float16", "int8" or "int4", the format of the embedding tables, see
            `zoo.serving.stored_tables.StoredTable`. Defaults to "float32".
        drop_zero_rows: boolean; rows that are exactly zero are not stored. Defaults to `False`.
        max_auc_loss: float, not negative, the largest AUC on the validation split that quantized
            tables may lose. Defaults to 0.001.
        user: names of the columns of the user, for the signature `user_once`. Defaults to `()`.
        warmup_requests: int from 0 to 1000. Defaults to 12.
        evaluation: string, folder that `launch.evaluate` wrote for the run; the model card gets its
            scores and intervals. Defaults to `None`.
        since: string, folder of an earlier export with the same options; `out` is then a delta that
            `launch.apply_delta` applies to it. Defaults to `None`: a whole export.
        report: function that is called with lines about sizes and losses. Defaults to none.

    Returns:
        `out`.

    Raises:
        DataError: names the field whose vocabulary or settings differ in `data`, or the validation
            split is missing and `tables` is not "float32".
        ValueError: on a value out of range, or if quantized tables lose more than `max_auc_loss`.
    """
    one_of("tables", tables, FORMATS)
    check_warmup(warmup_requests)
    if not (isinstance(max_auc_loss, int | float) and 0 <= max_auc_loss < math.inf):
        raise ValueError(f"`max_auc_loss` must be a number >= 0. Received: {max_auc_loss!r}")
    if since is None:
        check_export(out)
    else:
        check_export_folder(since)
        check_replaceable(final_folder(out), DELTA, "a delta")
    with FolderLock(final_folder(out)):
        model = load_best(run)
        check_vocabularies(run, data, model)
        if user:
            check_user_columns(user, [column.name for column in model.schema.columns])
        with model.settled():
            stored = stored_tables(model, form=tables, drop_zero_rows=drop_zero_rows)
        if since is not None:
            _check_same_options(since, stored.values(), user)
        card = run_card(run, data, evaluation)
        if tables != "float32" or drop_zero_rows:
            report(_sizes(stored.values()))
        if tables != "float32":
            quality = quality_of(model, stored, data)
            report(quality.line())
            check_quality(quality, max_auc_loss, tables)
            card["quantization"] = quality_card(quality, tables)
        options = {"user": user, "warmup_requests": warmup_requests, "card": card}
        if since is None:
            return export_saved_model(model, data, out, stored=stored, **options)
        whole = f"{partial_folder(out)}.whole"
        try:
            export_saved_model(model, data, whole, stored=stored, **options)
            size = write_delta(since, whole, out)
        finally:
            if gfile.exists(whole):
                remove_folder(whole)
    report(
        f"{size.changed_rows:,} of {size.rows:,} rows changed; {size.bytes:,} bytes instead of "
        f"{size.bytes_export:,}"
    )
    return out


def _check_same_options(since: str, stored: Iterable[StoredTable], user: Sequence[str]) -> None:
    card = read_card(since)
    pairs = {
        "tables": (card["tables"]["formats"], sorted({table.form for table in stored})),
        "user": (sorted(card["user"]), sorted(user)),
    }
    for flag, (before, now) in pairs.items():
        if before != now:
            raise ValueError(
                f"{since} was exported with another --{flag}: {', '.join(before) or 'none'}; pass "
                "the same flags, or write a whole export"
            )


def _sizes(stored: Iterable[StoredTable]) -> str:
    stored = list(stored)
    before, after = (sum(getattr(t, f"bytes_{x}") for t in stored) for x in ("before", "after"))
    rows, kept = sum(t.rows for t in stored), sum(t.stored_rows for t in stored)
    share = after / before if before else 1.0
    return (
        f"embedding tables: {before:,} bytes -> {after:,} ({share:.1%}), {rows:,} rows -> {kept:,}"
    )


def _main(argv: Sequence[str]) -> None:
    del argv
    if not _FLAGS.run or not _FLAGS.data or not _FLAGS.out:
        raise ValueError("pass --run=FOLDER_OF_THE_RUN, --data=PREPARED_FOLDER and --out=FOLDER")
    names = [part.strip() for part in _FLAGS.user.split(",") if part.strip()]
    out = export_run(
        _FLAGS.run,
        _FLAGS.data,
        _FLAGS.out,
        tables=_FLAGS.tables,
        drop_zero_rows=_FLAGS.drop_zero_rows,
        max_auc_loss=_FLAGS.max_auc_loss,
        user=names,
        warmup_requests=_FLAGS.warmup_requests,
        evaluation=_FLAGS.evaluation,
        since=_FLAGS.since,
        report=print,
    )
    print(f"written to {out}")


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string("run", None, "Folder of the run, written by launch.train.")
    flags.DEFINE_string("data", None, "Prepared data folder of the run, or a copy.")
    flags.DEFINE_string("out", None, "Folder to write.")
    flags.DEFINE_string(
        "tables",
        "float32",
        f"Format of the embedding tables: {', '.join(FORMATS)}. For a format other than float32, "
        "the loss is measured on the validation split.",
    )
    flags.DEFINE_boolean("drop_zero_rows", False, "Do not store rows that are exactly zero.")
    flags.DEFINE_float(
        "max_auc_loss",
        MAX_AUC_LOSS,
        "Largest AUC on the validation split that quantized tables may lose.",
    )
    flags.DEFINE_string(
        "user",
        "",
        "Columns of the user, separated by commas; adds the signature user_once, which takes them "
        "once for many items.",
    )
    flags.DEFINE_integer(
        "warmup_requests",
        WARMUP_REQUESTS,
        "Number of warm-up requests for TensorFlow Serving, at most 1000.",
    )
    flags.DEFINE_string(
        "evaluation",
        None,
        "Folder that launch.evaluate wrote for the run; the model card gets its scores.",
    )
    flags.DEFINE_string(
        "since",
        None,
        "Folder of an earlier export with the same flags: write only what changed since, for "
        "launch.apply_delta.",
    )


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
