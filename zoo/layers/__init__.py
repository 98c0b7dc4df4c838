"""Layers that the models of the zoo share."""

from zoo.layers.embedding import FieldEmbedding
from zoo.layers.linear import Linear
from zoo.layers.mlp import MLP, BatchNorm, LayerNorm

__all__ = ["MLP", "BatchNorm", "FieldEmbedding", "LayerNorm", "Linear"]
