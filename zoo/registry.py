"""Models by name."""

from __future__ import annotations

import dataclasses
from typing import Any, overload

import keras

from tf_helen.core import checks
from zoo import models
from zoo.data.schema import Schema, SchemaError
from zoo.parameter_counts import parameter_counts


@dataclasses.dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
        name: string, the name that `zoo.get` takes.
        model: the class.
        paper: string, authors and title.
        year: int, year of the paper.
        embedding_parameters: int, number of parameters of the embedding tables; `None` without a
            schema, or if the model cannot be built for it.
        other_parameters: int, number of all other parameters, or `None`.
    """

    name: str
    model: type[models.ClickModel]
    paper: str
    year: int
    embedding_parameters: int | None = None
    other_parameters: int | None = None


_ENTRIES = (
    Entry("lr", models.LR, "Richardson et al.: Predicting Clicks", 2007),
    Entry("fm", models.FM, "Rendle: Factorization Machines", 2010),
    Entry(
        "dnn",
        models.DNN,
        "Covington et al.: Deep Neural Networks for YouTube Recommendations",
        2016,
    ),
    Entry("pnn", models.PNN, "Qu et al.: Product-based Neural Networks", 2016),
    Entry(
        "widedeep",
        models.WideDeep,
        "Cheng et al.: Wide & Deep Learning for Recommender Systems",
        2016,
    ),
    Entry("dcn", models.DCN, "Wang et al.: Deep & Cross Network for Ad Click Predictions", 2017),
    Entry(
        "deepfm", models.DeepFM, "Guo et al.: DeepFM, a Factorization-Machine based Network", 2017
    ),
    Entry(
        "din",
        models.DIN,
        "Zhou et al.: Deep Interest Network for Click-Through Rate Prediction",
        2018,
    ),
    Entry(
        "xdeepfm",
        models.XDeepFM,
        "Lian et al.: xDeepFM, Explicit and Implicit Feature Interactions",
        2018,
    ),
    Entry(
        "autoint",
        models.AutoInt,
        "Song et al.: AutoInt, Automatic Feature Interaction Learning",
        2019,
    ),
    Entry("dlrm", models.DLRM, "Naumov et al.: Deep Learning Recommendation Model", 2019),
    Entry(
        "fibinet",
        models.FiBiNET,
        "Huang et al.: FiBiNET, Feature Importance and Bilinear Interaction",
        2019,
    ),
    Entry("afn", models.AFN, "Cheng et al.: Adaptive Factorization Network", 2020),
    Entry("dcnv2", models.DCNv2, "Wang et al.: DCN V2, Improved Deep & Cross Network", 2021),
    Entry(
        "edcn",
        models.EDCN,
        "Chen et al.: Enhancing Explicit and Implicit Feature Interactions",
        2021,
    ),
    Entry(
        "masknet",
        models.MaskNet,
        "Wang et al.: MaskNet, Feature-Wise Multiplication by Instance-Guided Mask",
        2021,
    ),
    Entry(
        "finalmlp", models.FinalMLP, "Mao et al.: FinalMLP, an Enhanced Two-Stream MLP Model", 2023
    ),
    Entry("finalnet", models.FinalNet, "Zhu et al.: FINAL, Factorized Interaction Layer", 2023),
    Entry(
        "gdcn",
        models.GDCN,
        "Wang et al.: Towards Deeper, Lighter and Interpretable Cross Network",
        2023,
    ),
    Entry(
        "dcnv3", models.DCNv3, "Li et al.: FCN, Fusing Exponential and Linear Cross Network", 2024
    ),
    Entry("wukong", models.WuKong, "Zhang et al.: Wukong, Towards a Scaling Law", 2024),
)


class ModelTable(tuple):
    """A tuple of entries that prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("name", "class", "year", "paper")]
        rows += [(e.name, e.model.__name__, str(e.year), e.paper) for e in self]
        if any(entry.other_parameters is not None for entry in self):
            sizes: list[tuple[str, ...]] = [("embeddings", "other")]
            sizes += [
                tuple(map(_number, (e.embedding_parameters, e.other_parameters))) for e in self
            ]
            rows = [(*row[:3], *size, row[3]) for row, size in zip(rows, sizes, strict=True)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        aligned = [str.ljust] * 3 + [str.rjust] * (len(widths) - 4) + [str.ljust]
        return "\n".join(
            "  ".join(
                align(cell, width) for align, cell, width in zip(aligned, row, widths, strict=True)
            ).rstrip()
            for row in rows
        )

    __repr__ = __str__


def get_class(name: str) -> type[models.ClickModel]:
    """Returns a model class by its name.

    Args:
        name: string, such as "deepfm", "DeepFM" or "deep_fm".

    Returns:
        The class, a subclass of `zoo.ClickModel`.

    Raises:
        ValueError: on an unknown name; suggests the nearest one.

    Example:
        >>> get_class("DeepFM").__name__
        'DeepFM'
    """
    return checks.named("model", name, {entry.name: entry.model for entry in _ENTRIES})


@overload
def get(identifier: dict[str, Any] | models.ClickModel, /) -> models.ClickModel: ...
@overload
def get(identifier: str, /) -> type[models.ClickModel]: ...
@overload
def get(identifier: str, /, schema: Schema, **settings: Any) -> models.ClickModel: ...
def get(
    identifier: str | dict[str, Any] | models.ClickModel,
    /,
    schema: Schema | None = None,
    **settings: Any,
) -> type[models.ClickModel] | models.ClickModel:
    """Returns a model from its name and a schema, its serialized form, or itself.

    With a name alone it returns the class, as `get_class` does, since a model needs a schema.

    Args:
        identifier: "deepfm", "DeepFM", "deep_fm", ...; what
            `keras.saving.serialize_keras_object(model)` returned; or a model.
        schema: for a name: `zoo.Schema`, the columns of the data. Defaults to `None`: the class
            is returned.
        **settings: for a name and a schema: the other arguments of the class.

    Returns:
        A `zoo.ClickModel`; with a name alone its class.

    Raises:
        ValueError: on an unknown name (suggests the nearest one), on settings without a schema, or
            on a schema or settings in addition to a model or a config.

    Example:
        >>> import zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10)])
        >>> get("deepfm", schema, embedding_dim=8).settings["embedding_dim"]
        8
        >>> get("deepfm").__name__
        'DeepFM'
    """
    if isinstance(identifier, str):
        cls = get_class(identifier)
        if schema is not None:
            return cls(schema, **settings)
        if settings:
            raise ValueError(
                f"{sorted(settings)} cannot be passed without a schema. Use "
                f"zoo.get({identifier!r}, schema, ...), or zoo.get_class for the class."
            )
        return cls
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if not isinstance(identifier, models.ClickModel):
        raise ValueError(
            "A model must be a name, a zoo.ClickModel or its serialized form. Received: "
            f"{identifier!r}"
        )
    given = sorted({**settings, **({} if schema is None else {"schema": schema})})
    if given:
        raise ValueError(
            f"{given} cannot be passed with an instance of {type(identifier).__name__}; "
            "pass them to its constructor."
        )
    return identifier


def list_models(schema: Schema | None = None) -> ModelTable:
    """Returns every model: name, class, paper, year and, for a schema, its size.

    Args:
        schema: `zoo.Schema`. Builds each model with its default settings for these columns and
            counts its parameters. Defaults to `None`: no counts.

    Returns:
        A tuple of entries that prints as a table. A model that cannot be built for the schema, such
        as DIN for a schema without histories, has no counts.

    Example:
        >>> "deepfm" in [entry.name for entry in list_models()]
        True
        >>> import zoo
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10), zoo.Categorical("item", 5)])
        >>> fm = list_models(schema)[1]
        >>> fm.name, fm.embedding_parameters, fm.other_parameters
        ('fm', 255, 1)
    """
    return ModelTable(_ENTRIES if schema is None else (_counted(e, schema) for e in _ENTRIES))


def _counted(entry: Entry, schema: Schema) -> Entry:
    try:
        embedded, other = parameter_counts(entry.model(schema))
    except SchemaError:
        raise
    except ValueError:
        return entry
    return dataclasses.replace(entry, embedding_parameters=embedded, other_parameters=other)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
