"""One export for all tests of this folder."""

import pytest
import served
import tensorflow as tf

from zoo.serving.export import export_saved_model


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The folder of a SavedModel with every signature."""
    folder = served.data_folder(str(tmp_path_factory.mktemp("serving")))
    card = {"scores": {"valid": {"auc": 0.75}}}
    user = served.USER_COLUMNS
    return export_saved_model(served.model(), folder, f"{folder}/out", user=user, card=card)


@pytest.fixture(scope="session")
def loaded(exported):
    return tf.saved_model.load(exported)


@pytest.fixture(scope="session")
def scores(loaded):
    """The probabilities and logits of the rows."""
    return loaded.signatures["serving_default"](**served.raw())
