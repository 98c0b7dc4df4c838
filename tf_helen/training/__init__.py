"""Training steps for optimizers that need more than one gradient."""

from tf_helen.training.model import Model, Sequential, enable, settle
from tf_helen.training.multi_pass import EpochNotifier, forward_states, seed_states

__all__ = [
    "EpochNotifier",
    "Model",
    "Sequential",
    "enable",
    "forward_states",
    "seed_states",
    "settle",
]
