import pytest

from mia.checks import RequestError
from mia.models.options import MlpOptions, WideResnetOptions
from mia.train.defence_options import DpOptions, EarlyStoppingOptions
from mia.train.options import EngineOptions, TrainOptions


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: TrainOptions(epochs=0), "train.epochs=0"),
        (lambda: TrainOptions(batch_size=0), "train.batch_size=0"),
        (lambda: TrainOptions(learning_rate=0), "train.learning_rate=0"),
        (lambda: TrainOptions(l2=-1e-3), "train.l2=-0.001"),
        (lambda: TrainOptions(dropout=1.0), "train.dropout=1.0"),
        (lambda: TrainOptions(label_smoothing=1.5), "train.label_smoothing=1.5"),
        (lambda: EngineOptions("0"), "engine.models_per_batch='0'"),
        (lambda: EngineOptions("all"), "engine.models_per_batch='all'"),
        (lambda: MlpOptions(hidden=[0]), "model.hidden=0"),
        (lambda: MlpOptions(activation="tan"), "model.activation='tan'"),
        (lambda: WideResnetOptions(depth=27), "model.depth=27"),
        (lambda: WideResnetOptions(norm="layer"), "model.norm='layer'"),
    ],
)
def test_impossible_values_name_their_key(make, key):
    with pytest.raises(RequestError, match=f"^{key}"):
        make()


def test_what_was_set_and_does_nothing_is_named():
    assert TrainOptions().idle() == []
    assert TrainOptions(early_stopping=EarlyStoppingOptions(0.1, patience=9)).idle() == []
    assert TrainOptions(dp=DpOptions(1.0, 1.0, delta=1e-3)).idle() == []
    off = TrainOptions(early_stopping=EarlyStoppingOptions(patience=9), dp=DpOptions(delta=1e-3))
    assert off.effective() == TrainOptions()
    assert off.idle() == [
        "train.early_stopping.patience=9 does nothing: train.early_stopping.holdout=0.0 switches it off",
        "train.dp.delta=0.001 does nothing: train.dp.clipping_norm=inf switches it off",
    ]


def test_undefended_has_no_strength_left():
    defended = TrainOptions(epochs=7, l2=0.1, weight_decay=0.1, dropout=0.1, label_smoothing=0.1)
    assert defended.undefended() == TrainOptions(epochs=7)
