"""Click-through-rate models for Keras, and the data pipelines that feed them.

`Schema` describes the columns of a data set, `write_tfrecords` and `read_tfrecords` write and read
its rows, `read_stream` reads rows of a `StreamSource`, `set_store_options` sets how files in stores
such as `s3://` are read, `verify_files` compares a folder with its checksums, `load_counts` reads
feature frequencies, `Ledger` counts damaged records. `get`, `get_class`, `list_models` and `preset`
find models and published settings.
"""

import tf_helen  # noqa: F401 - checks Keras before the modules below import it
from tf_helen.stores.options import set_store_options
from zoo.data.checksums import verify_files
from zoo.data.files import DataError
from zoo.data.ledger import Ledger
from zoo.data.schema import Categorical, Numeric, Schema, SchemaError, SchemaMismatchError
from zoo.data.tfrecords import read_tfrecords, write_tfrecords
from zoo.data.vocabulary import load_counts
from zoo.models import (
    AFN,
    DCN,
    DIN,
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
    FinalMLP,
    FinalNet,
    MaskNet,
    WideDeep,
    WuKong,
    XDeepFM,
)
from zoo.presets.files import Preset, list_presets, preset
from zoo.registry import get, get_class, list_models
from zoo.streaming.source import StreamSource
from zoo.streaming.stream import read_stream

__all__ = [
    "AFN",
    "DCN",
    "DIN",
    "DLRM",
    "DNN",
    "EDCN",
    "FM",
    "GDCN",
    "LR",
    "PNN",
    "AutoInt",
    "Categorical",
    "ClickModel",
    "DCNv2",
    "DCNv3",
    "DataError",
    "DeepFM",
    "FiBiNET",
    "FinalMLP",
    "FinalNet",
    "Ledger",
    "MaskNet",
    "Numeric",
    "Preset",
    "Schema",
    "SchemaError",
    "SchemaMismatchError",
    "StreamSource",
    "WideDeep",
    "WuKong",
    "XDeepFM",
    "get",
    "get_class",
    "list_models",
    "list_presets",
    "load_counts",
    "preset",
    "read_stream",
    "read_tfrecords",
    "set_store_options",
    "verify_files",
    "write_tfrecords",
]
