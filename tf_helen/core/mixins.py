"""What mixins beside a class of Keras inherit from.

At run time it is `object`: the class of Keras stands beside the mixin in the bases, and may be one
of tf_keras. Type checkers find in it the methods that a mixin calls by `super()` or on `self`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    ModelMixin = keras.Model
    OptimizerMixin = keras.optimizers.Optimizer
else:
    ModelMixin = OptimizerMixin = object
