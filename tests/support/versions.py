"""The version of Keras, for tests of what only newer versions offer."""

import keras

KERAS = tuple(int(number) for number in keras.__version__.split(".")[:2])
