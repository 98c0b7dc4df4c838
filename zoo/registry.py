"""Models by name."""

from __future__ import annotations

import dataclasses

from tf_helen.checks import nearest
from zoo.models import (
    AFN,
    DCN,
    DLRM,
    DNN,
    EDCN,
    FM,
    GDCN,
    LR,
    PNN,
    AutoInt,
    ClickModel,
    DCNv2,
    DCNv3,
    DeepFM,
    FiBiNET,
    WideDeep,
    XDeepFM,
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
        name: what `zoo.get` takes.
        model: the class.
        paper: authors and title.
        year: of the paper.
    """

    name: str
    model: type[ClickModel]
    paper: str
    year: int


_ENTRIES = (
    Entry("lr", LR, "Richardson et al.: Predicting Clicks", 2007),
    Entry("fm", FM, "Rendle: Factorization Machines", 2010),
    Entry("dnn", DNN, "Covington et al.: Deep Neural Networks for YouTube Recommendations", 2016),
    Entry("pnn", PNN, "Qu et al.: Product-based Neural Networks", 2016),
    Entry("widedeep", WideDeep, "Cheng et al.: Wide & Deep Learning for Recommender Systems", 2016),
    Entry("dcn", DCN, "Wang et al.: Deep & Cross Network for Ad Click Predictions", 2017),
    Entry("deepfm", DeepFM, "Guo et al.: DeepFM, a Factorization-Machine based Network", 2017),
    Entry(
        "xdeepfm", XDeepFM, "Lian et al.: xDeepFM, Explicit and Implicit Feature Interactions", 2018
    ),
    Entry("autoint", AutoInt, "Song et al.: AutoInt, Automatic Feature Interaction Learning", 2019),
    Entry("dlrm", DLRM, "Naumov et al.: Deep Learning Recommendation Model", 2019),
    Entry(
        "fibinet",
        FiBiNET,
        "Huang et al.: FiBiNET, Feature Importance and Bilinear Interaction",
        2019,
    ),
    Entry("afn", AFN, "Cheng et al.: Adaptive Factorization Network", 2020),
    Entry("dcnv2", DCNv2, "Wang et al.: DCN V2, Improved Deep & Cross Network", 2021),
    Entry("edcn", EDCN, "Chen et al.: Enhancing Explicit and Implicit Feature Interactions", 2021),
    Entry(
        "gdcn", GDCN, "Wang et al.: Towards Deeper, Lighter and Interpretable Cross Network", 2023
    ),
    Entry("dcnv3", DCNv3, "Li et al.: FCN, Fusing Exponential and Linear Cross Network", 2024),
)


class ModelTable(tuple):
    """The entries of the zoo; prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        width = max(len(entry.name) for entry in self)
        paper_width = max(len(entry.paper) for entry in self)
        lines = [f"{'name':<{width}}  {'paper':<{paper_width}}  year"]
        lines += [f"{e.name:<{width}}  {e.paper:<{paper_width}}  {e.year}" for e in self]
        return "\n".join(lines)

    __repr__ = __str__


def get(name: str) -> type[ClickModel]:
    """Returns a model class by its name.

    Args:
        name: such as "deepfm", "DeepFM" or "deep_fm".

    Returns:
        The class.

    Raises:
        ValueError: on an unknown name; the nearest known one is suggested.

    Example:
        >>> get("DeepFM").__name__
        'DeepFM'
    """
    known = {entry.name: entry.model for entry in _ENTRIES}
    plain = str(name).lower().replace("_", "").replace("-", "")
    if plain not in known:
        raise ValueError(
            f"Unknown model {name!r}.{nearest(plain, known)} Known: {', '.join(sorted(known))}."
        )
    return known[plain]


def list_models() -> ModelTable:
    """Returns every model: name, class, paper, year.

    Returns:
        A tuple of entries that prints as a table.

    Example:
        >>> "deepfm" in [entry.name for entry in list_models()]
        True
    """
    return ModelTable(_ENTRIES)
