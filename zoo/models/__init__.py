"""Click-through-rate models."""

from zoo.models.autoint import AutoInt
from zoo.models.base import ClickModel
from zoo.models.deepfm import DeepFM
from zoo.models.dnn import DNN

__all__ = ["DNN", "AutoInt", "ClickModel", "DeepFM"]
