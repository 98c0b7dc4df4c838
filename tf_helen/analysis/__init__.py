"""Sharpness, norms and sparsity of embedding tables, row by row and by frequency."""

from tf_helen.analysis.auc import auc_by_bucket
from tf_helen.analysis.frequency import (
    Buckets,
    frequency_buckets,
    frequency_correlation,
    sample_counts,
)
from tf_helen.analysis.norms import embedding_norms, rademacher_bound, row_norms, zero_rows
from tf_helen.analysis.sharpness import (
    RowSharpness,
    gradient_norms,
    row_sharpness,
    top_eigenvalues,
)
from tf_helen.analysis.tables import field_rows, table_counts, tables_of

__all__ = [
    "Buckets",
    "RowSharpness",
    "auc_by_bucket",
    "embedding_norms",
    "field_rows",
    "frequency_buckets",
    "frequency_correlation",
    "gradient_norms",
    "rademacher_bound",
    "row_norms",
    "row_sharpness",
    "sample_counts",
    "table_counts",
    "tables_of",
    "top_eigenvalues",
    "zero_rows",
]
