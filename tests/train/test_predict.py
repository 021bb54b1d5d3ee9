import numpy as np
import pytest

from mia.models.options import CnnOptions, MlpOptions, WideResnetOptions
from mia.train.many import train_many
from mia.train.options import TrainOptions
from mia.train.predict import predict

MODELS = [MlpOptions(hidden=[8]), CnnOptions(), WideResnetOptions(depth=10, width=1, norm="batch")]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_logits_never_depend_on_batch_mates(model, pictures, split):
    members, nonmembers = split(1, 40, 96)
    options = [TrainOptions(epochs=1, batch_size=16)]
    (trained,) = train_many(pictures, members, nonmembers, np.zeros(1, np.uint32), model, options)
    assert any(name.endswith("variance") for name in trained.parameters) == (model.name == "wide_resnet")
    ask = lambda x: predict(model, trained.parameters, x, pictures.scale, 3)  # noqa: E731
    everything = ask(np.tile(pictures.x, (12, 1, 1, 1)))
    assert everything.shape == (12 * 96, 3)
    np.testing.assert_array_equal(ask(pictures.x[5:6])[0], everything[5])
    others = pictures.x[:40].copy()
    others[1:] = 255
    np.testing.assert_array_equal(ask(others)[0], everything[0])
    assert np.isfinite(everything).all()
    assert ask(pictures.x[:0]).shape == (0, 3)
