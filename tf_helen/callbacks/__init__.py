"""Keras callbacks for training embedding models."""

from tf_helen.callbacks.meda import MEDA

__all__ = ["MEDA"]
