"""The arguments that every model takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class ModelArguments(TypedDict, total=False):
    """Keyword arguments of `zoo.ClickModel`, where they are described."""

    embedding_dims: Mapping[str, int] | None
    numeric: str
    embedding_l2: float
    embeddings_initializer: Any
    shards: int | str
    dynamic: int | Mapping[str, Any] | None
    embeddings_dtype: str | None
    rounding: str
    name: str | None
    dtype: Any
