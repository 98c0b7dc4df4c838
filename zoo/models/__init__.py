"""Click-through-rate models."""

from zoo.models.afn import AFN
from zoo.models.autoint import AutoInt
from zoo.models.base import ClickModel
from zoo.models.dcn import DCN
from zoo.models.dcnv2 import DCNv2
from zoo.models.dcnv3 import DCNv3
from zoo.models.deepfm import DeepFM
from zoo.models.din import DIN
from zoo.models.dlrm import DLRM
from zoo.models.dnn import DNN
from zoo.models.edcn import EDCN
from zoo.models.fibinet import FiBiNET
from zoo.models.finalmlp import FinalMLP
from zoo.models.finalnet import FinalNet
from zoo.models.fm import FM
from zoo.models.gdcn import GDCN
from zoo.models.lr import LR
from zoo.models.masknet import MaskNet
from zoo.models.pnn import PNN
from zoo.models.widedeep import WideDeep
from zoo.models.wukong import WuKong
from zoo.models.xdeepfm import XDeepFM

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
    "ClickModel",
    "DCNv2",
    "DCNv3",
    "DeepFM",
    "FiBiNET",
    "FinalMLP",
    "FinalNet",
    "MaskNet",
    "WideDeep",
    "WuKong",
    "XDeepFM",
]
