"""Keras callbacks for training embedding models."""

from tf_helen.callbacks.exact_resume import ExactResume, Terminated
from tf_helen.callbacks.meda import MEDA

__all__ = ["MEDA", "ExactResume", "Terminated"]
