"""Training steps for optimizers that need more than one gradient."""

from tf_helen.trainer.model import Model, Sequential, enable

__all__ = ["Model", "Sequential", "enable"]
