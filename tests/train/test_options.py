import pytest

from mia.checks import RequestError
from mia.models.options import MlpOptions, WideResnetOptions
from mia.settings import Setting
from mia.train.defence_options import AdversarialOptions, AugmentationOptions, DpOptions, EarlyStoppingOptions
from mia.train.defences import TRAIN_DEFENCES
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
        (lambda: EngineOptions(tune="fast"), "engine.tune='fast'"),
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


def test_nothing_is_on_by_default_and_each_defence_has_a_name():
    assert TrainOptions().settings() == []
    labels = [defence.strength.label for _, defence in TRAIN_DEFENCES.items()]
    assert len(set(labels)) == len(labels) == 12


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (TrainOptions(l2=5e-3), Setting("train.l2", "L2", 5e-3, "5e-3")),
        (
            TrainOptions(early_stopping=EarlyStoppingOptions(0.2, 3)),
            Setting("train.early_stopping", "early stopping", 0.2, "0.2"),
        ),
        (
            TrainOptions(augmentation=AugmentationOptions(0.5, 2)),
            Setting("train.augmentation.shift", "augmentation", 2.0, "flip 0.5, shift 2"),
        ),
        (TrainOptions(adversarial=AdversarialOptions(3.0)), Setting("train.adversarial", "adversarial", 3.0, "3")),
        (
            TrainOptions(dp=DpOptions(1.3, 1.0)),
            Setting("train.dp.noise_multiplier", "DP-SGD", 1.3, "noise 1.3"),
        ),
        (
            TrainOptions(dp=DpOptions(clipping_norm=1.0, epsilon=8.0)),
            Setting("train.dp.epsilon", "DP-SGD", 8.0, "epsilon = 8", is_lower_stronger=True),
        ),
        (
            TrainOptions(dp=DpOptions(clipping_norm=0.5)),
            Setting("train.dp.clipping_norm", "DP-SGD", 0.5, "clipping norm 0.5", is_lower_stronger=True),
        ),
    ],
)
def test_a_defence_says_how_strong_it_is(options, setting):
    assert options.settings() == [setting]


def test_several_defences_are_said_in_one_order():
    options = TrainOptions(dropout=0.2, l2=0.1, dp=DpOptions(1.0, 1.0))
    assert [one.words for one in options.settings()] == ["L2 0.1", "dropout 0.2", "DP-SGD noise 1"]


def test_what_mixes_records_follows_from_the_hooks_and_parts():
    mixing = {name for name, defence in TRAIN_DEFENCES.items() if defence.mixes}
    assert mixing == {"mixup", "relaxloss", "adversarial", "distillation", "early_stopping"}
