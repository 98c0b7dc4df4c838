"""Base classes of mixins for Keras models and optimizers.

At run time they are `object`, because a class inherits from the mixin and from a class of Keras or
tf_keras. For type checkers they have the methods that a mixin calls by `super()` or on `self`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    ModelMixin = keras.Model
    OptimizerMixin = keras.optimizers.Optimizer
else:
    ModelMixin = OptimizerMixin = object
