"""Every defence in training: nothing at strength zero, what its formula says above, chance at its strongest."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from training import hooks_of

from mia.checks import RequestError
from mia.models.options import CnnOptions, MlpOptions
from mia.train.batches import TRAINED_ON, divide
from mia.train.defence_options import (
    AdversarialOptions,
    AugmentationOptions,
    DistillationOptions,
    DpOptions,
    EarlyStoppingOptions,
)
from mia.train.defences import Batch
from mia.train.defences.augmentation import augment
from mia.train.hooks import Defences
from mia.train.loss import cross_entropy, training_loss
from mia.train.many import train_many
from mia.train.options import TrainOptions
from mia.train.predict import predict

MLP = MlpOptions(hidden=[16])
SHORT = TrainOptions(epochs=3, batch_size=16, test_records=20, learning_rate=0.01)
ON = {
    "confidence_penalty": replace(SHORT, confidence_penalty=0.5),
    "mixup": replace(SHORT, mixup=1.0),
    "relaxloss": replace(SHORT, relaxloss=0.8),
    "early_stopping": replace(SHORT, early_stopping=EarlyStoppingOptions(0.3)),
    "adversarial": replace(SHORT, adversarial=AdversarialOptions(3.0)),
    "distillation": replace(SHORT, distillation=DistillationOptions(0.4)),
    "dp": replace(SHORT, dp=DpOptions(1.0, 1.0)),
}
IDLE = replace(
    SHORT,
    early_stopping=EarlyStoppingOptions(0.0, patience=1),
    adversarial=AdversarialOptions(0.0, reference=0.6),
    distillation=DistillationOptions(0.0, temperature=9.0),
    dp=DpOptions(delta=0.1, sampling="shuffled", microbatch=3),
)


def train(data, members, nonmembers, options, model=MLP):
    chosen = options if isinstance(options, list) else [options] * len(members)
    seeds = np.arange(len(members), dtype=np.uint32)
    return list(train_many(data, members, nonmembers, seeds, model, chosen))


def differ(one, other):
    return any((value != other.parameters[name]).any() for name, value in one.parameters.items())


def assert_same(one, other):
    for name, value in one.parameters.items():
        np.testing.assert_array_equal(value, other.parameters[name])
    np.testing.assert_array_equal(one.train_loss, other.train_loss)


def test_strength_zero_is_the_same_training_whatever_else_is_set(table, split):
    assert Defences.of(IDLE) == Defences.of(SHORT)
    assert all(defence.is_always_compiled for defence in Defences.of(IDLE).entries)
    assert IDLE.effective() == SHORT
    members, nonmembers = split(1, 40, 120)
    assert_same(*train(table, members, nonmembers, IDLE), *train(table, members, nonmembers, SHORT))


@pytest.mark.parametrize("name", ON)
def test_a_defence_does_something_and_each_model_equals_itself_alone(name, table, split):
    members, nonmembers = split(3, 40, 120)
    plain, defended, other = train(table, members, nonmembers, [SHORT, ON[name], ON[name]])
    assert [one.position for one in (plain, defended, other)] == [0, 1, 2]
    assert differ(defended, train(table, members, nonmembers, SHORT)[1])
    assert_same(plain, train(table, members[:1], nonmembers[:1], SHORT)[0])
    again = train(table, members, nonmembers, ON[name])
    assert_same(defended, again[1])
    assert_same(other, again[2])


def test_augmentation_does_something_to_pictures_alone(pictures, table, split):
    members, nonmembers = split(1, 40, 96)
    options = replace(SHORT, augmentation=AugmentationOptions(flip=0.5, shift=1, cutout=2))
    assert differ(*train(pictures, members, nonmembers, options), *train(pictures, members, nonmembers, SHORT))
    with pytest.raises(RequestError, match=r"train\.augmentation .*\[12\]"):
        train(table, members, nonmembers, options)


@pytest.mark.parametrize(
    "strongest",
    [
        {"l2": 5.0}, {"weight_decay": 90.0}, {"label_smoothing": 1.0},
        {"relaxloss": float(np.log(3))}, {"dp": DpOptions(200.0, 1.0)},
    ],
    ids=lambda options: next(iter(options)),
)  # fmt: skip
def test_at_its_strongest_leakage_falls_to_chance(strongest, split):
    rng = np.random.default_rng(3)
    from mia.records import Dataset

    noise = Dataset("noise", rng.normal(size=(400, 12)).astype(np.float32), rng.integers(0, 3, 400, dtype=np.int32), 3)
    members, nonmembers = split(1, 200, 400)
    base = TrainOptions(epochs=60, batch_size=32, learning_rate=0.01, test_records=0)
    assert leakage(noise, members, nonmembers, base) > 0.75
    assert leakage(noise, members, nonmembers, replace(base, **strongest)) < 0.6


def leakage(data, members, nonmembers, options):
    """Return the AUC of the loss on labels that nothing but memory can tell."""
    (one,) = train(data, members, nonmembers, options, MlpOptions(hidden=[64]))
    logits = predict(MlpOptions(hidden=[64]), one.parameters, data.x, data.scale, 3)
    scores = -np.asarray(cross_entropy(jnp.array(logits), jax.nn.one_hot(data.y, 3)))
    index = np.concatenate([members[0], nonmembers[0]])
    return roc_auc_score(np.repeat([1, 0], len(members[0])), scores[index])


def test_early_stopping_keeps_the_best_epoch_of_the_held_out_part(table, split):
    members, nonmembers = split(2, 40, 120)
    labels = np.random.default_rng(7).integers(0, 3, 120, dtype=np.int32)
    noise = replace(table, y=labels)  # the held-out loss soon rises
    options = replace(SHORT, epochs=60, early_stopping=EarlyStoppingOptions(0.25, patience=3))
    trained, stopped = train(noise, members, nonmembers, options), 0
    for position, one in enumerate(trained):
        parts = divide(options, members[position].astype(np.int32), position)
        assert len(parts["early_stopping"]) == 10
        assert len(np.union1d(parts["early_stopping"], parts[TRAINED_ON])) == 40
        losses = [held_out_loss(noise, members, nonmembers, options, position, parts, epoch) for epoch in range(1, 9)]
        best = int(np.argmin(losses))
        if best + 3 < len(losses):
            stopped += 1
            np.testing.assert_allclose(loss_on(noise, one, parts["early_stopping"]), losses[best], rtol=1e-5)
            assert (one.train_loss[best + 4 :] == one.train_loss[best + 3]).all()
            assert len(np.unique(one.train_loss)) == best + 4
    assert stopped


def held_out_loss(data, members, nonmembers, options, position, parts, epochs):
    """Return the held-out loss after so many epochs of a training that does not stop."""
    patient = replace(options, epochs=epochs, early_stopping=EarlyStoppingOptions(0.25, patience=1000))
    rows = slice(position, position + 1)
    seeds = np.array([position], np.uint32)
    trained = next(iter(train_many(data, members[rows], nonmembers[rows], seeds, MLP, [patient])))
    return min(loss_on(data, trained, parts["early_stopping"]), np.inf)


def loss_on(data, trained, index):
    logits = predict(MLP, trained.parameters, data.x[index], data.scale, 3)
    return float(cross_entropy(jnp.array(logits), jax.nn.one_hot(data.y[index], 3)).mean())


def test_pictures_are_mirrored_shifted_and_cut_as_asked():
    x = jax.random.uniform(jax.random.key(0), (500, 6, 8, 2)) + 1

    def change(flip=0.0, shift=0.0, cutout=0.0):
        return augment(x, jax.random.key(1), flip, shift, cutout)

    np.testing.assert_array_equal(change(), x)
    mirrored = change(flip=1.0)
    np.testing.assert_array_equal(mirrored, x[:, :, ::-1])
    some = (change(flip=0.3) != x).any(axis=(1, 2, 3)).mean()
    assert 0.22 < some < 0.38
    shifted = np.asarray(change(shift=2.0))
    for one, original in zip(shifted, np.asarray(x), strict=True):
        padded = np.pad(original, ((2, 2), (2, 2), (0, 0)))
        crops = [padded[i : i + 6, j : j + 8] for i in range(5) for j in range(5)]
        assert any((one == crop).all() for crop in crops)
    assert len({one.tobytes() for one in (shifted == 0)}) == 25
    cut = np.asarray(change(cutout=3.0) == 0).all(axis=-1)
    assert (np.asarray(change(cutout=3.0))[~cut] == np.asarray(x)[~cut]).all()
    assert cut.sum(axis=(1, 2)).max() == 9
    rows, columns = cut.any(axis=2).sum(axis=1), cut.any(axis=1).sum(axis=1)
    assert (rows * columns == cut.sum(axis=(1, 2))).all()
    assert (change(cutout=16.0) == 0).all()


def test_mixup_mixes_real_records_of_a_batch_by_one_share():
    x = jnp.arange(8.0)[:, None] ** 2
    targets = jax.nn.one_hot(jnp.arange(8) % 3, 3)
    weights = jnp.array([1.0] * 5 + [0.0] * 3)
    shares = []
    for number in range(40):
        draw = lambda purpose, number=number: jax.random.fold_in(jax.random.key(number), purpose)  # noqa: E731
        hooks = hooks_of(TrainOptions(mixup=0.7), weights, draw=draw)
        mixed = hooks.chain("batch", Batch(x, jnp.arange(8) % 3, targets))
        share = float((mixed.x[0, 0] - x[1, 0]) / (x[0, 0] - x[1, 0]))
        partner = [1, 2, 3, 4, 0]
        np.testing.assert_allclose(mixed.x[:5], share * x[:5] + (1 - share) * x[jnp.array(partner)], rtol=1e-4)
        np.testing.assert_allclose(mixed.targets.sum(axis=1), 1, rtol=1e-5)
        shares.append(share)
    assert min(shares) >= 0.5
    assert np.std(shares) > 0.05


@pytest.mark.parametrize("epoch", [0, 1])
def test_relaxloss_descends_above_its_level_and_relaxes_below_it(epoch):
    logits = jnp.array(np.random.default_rng(0).normal(size=(6, 4)), jnp.float32)
    targets, weights = jax.nn.one_hot(jnp.array([0, 1, 2, 3, 0, 1]), 4), jnp.array([1.0, 1, 1, 1, 1, 0])
    batch = Batch(None, None, targets)

    def gradient(level):
        hooks = hooks_of(TrainOptions(relaxloss=level), weights, epoch=epoch)
        return jax.grad(lambda logits: training_loss(logits, batch, {}, hooks))(logits)

    plain = jax.grad(lambda logits: training_loss(logits, batch, {}, hooks_of(SHORT, weights)))(logits)
    np.testing.assert_array_equal(gradient(0.01), plain)
    if epoch == 0:
        np.testing.assert_array_equal(gradient(50.0), -plain)
        return
    probabilities = np.asarray(jax.nn.softmax(logits))
    expected = -np.asarray(plain)
    for i in range(5):
        truth = int(targets[i].argmax())
        if probabilities[i].argmax() != truth:
            soft = np.full(4, (1 - probabilities[i, truth]) / 3)
            soft[truth] = probabilities[i, truth]
            expected[i] += (probabilities[i] - soft) / 5
    np.testing.assert_allclose(gradient(50.0), expected, atol=1e-6)


def test_relaxloss_keeps_the_training_loss_at_its_level(table, split):
    members, nonmembers = split(1, 40, 120)
    options = replace(SHORT, epochs=80, relaxloss=0.6)
    (one,) = train(table, members, nonmembers, options)
    assert 0.45 < one.train_loss[-20:].mean() < 0.75
    assert one.train_accuracy[-20:].mean() > 0.75


def test_confidence_penalty_is_the_entropy_of_the_answer():
    logits = jnp.array([[2.0, 0.0, -1.0], [0.3, 0.2, 0.1]])
    targets = jax.nn.one_hot(jnp.array([0, 2]), 3)
    hooks = hooks_of(TrainOptions(confidence_penalty=0.3), jnp.ones(2))
    value = training_loss(logits, Batch(None, None, targets), {}, hooks)
    p = np.asarray(jax.nn.softmax(logits))
    expected = np.mean(-np.log(p[[0, 1], [0, 2]]) - 0.3 * -(p * np.log(p)).sum(axis=1))
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_a_student_learns_from_answers_and_never_from_labels_or_the_teachers_records(table, split):
    members, nonmembers = split(1, 40, 120)
    options = replace(ON["distillation"], test_records=0)
    parts = divide(options, members[0].astype(np.int32), 0)
    assert (len(parts[TRAINED_ON]), len(parts["distillation"])) == (24, 16)
    (before,) = train(table, members, nonmembers, options)
    labels = table.y.copy()
    labels[parts["distillation"]] = (labels[parts["distillation"]] + 1) % 3
    (after,) = train(replace(table, y=labels), members, nonmembers, options)
    for name, value in before.parameters.items():
        np.testing.assert_array_equal(value, after.parameters[name])
    labels = table.y.copy()
    labels[parts[TRAINED_ON]] = (labels[parts[TRAINED_ON]] + 1) % 3
    assert differ(before, *train(replace(table, y=labels), members, nonmembers, options))


def test_the_adversary_makes_members_and_reference_look_alike(table, split):
    """Adversarial regularisation lowers the leakage of the records that it trains on, compared with its reference."""
    members, nonmembers = split(1, 60, 120)
    data = replace(table, y=np.random.default_rng(7).integers(0, 3, 120, dtype=np.int32))

    def gap(strength):
        options = TrainOptions(epochs=150, batch_size=16, learning_rate=0.01, test_records=0)
        options = replace(options, adversarial=AdversarialOptions(strength, reference=0.3))
        (one,) = train(data, members, nonmembers, options)
        parts = divide(options, members[0].astype(np.int32), 0)
        return loss_on(data, one, parts["adversarial"]) - loss_on(data, one, parts[TRAINED_ON])

    assert gap(30.0) < 0.5 * gap(1e-9)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: TrainOptions(mixup=-1), "train.mixup"),
        (lambda: TrainOptions(mixup=1, relaxloss=1), "train.mixup"),
        (lambda: EarlyStoppingOptions(1.0), "train.early_stopping.holdout"),
        (lambda: EarlyStoppingOptions(0.1, 0), "train.early_stopping.patience"),
        (lambda: AugmentationOptions(flip=2), "train.augmentation.flip"),
        (lambda: AdversarialOptions(1.0, 0.0), "train.adversarial.reference"),
        (lambda: DistillationOptions(0.5, 0), "train.distillation.temperature"),
        (lambda: DpOptions(noise_multiplier=1.0), "train.dp.clipping_norm=inf"),
        (lambda: DpOptions(1.0, 1.0, epsilon=2.0), "train.dp.epsilon=2.0"),
        (lambda: DpOptions(clipping_norm=0), "train.dp.clipping_norm=0"),
        (lambda: DpOptions(clipping_norm=float("nan")), "train.dp.clipping_norm=nan"),
        (lambda: DpOptions(delta=1.0), "train.dp.delta"),
        (lambda: DpOptions(1e-6, 1.0), "train.dp.noise_multiplier=1e-06"),
        (lambda: DpOptions(clipping_norm=1.0, epsilon=1e6), "train.dp.epsilon=1000000.0"),
        (lambda: DpOptions(sampling="poison"), "train.dp.sampling='poison'"),
        (lambda: TrainOptions(mixup=0.5, dp=DpOptions(1.0, 1.0)), "train.mixup=0.5"),
        (lambda: TrainOptions(early_stopping=EarlyStoppingOptions(0.1), dp=DpOptions(1.0, 1.0)),
         "train.early_stopping.holdout"),
        (lambda: divide(TrainOptions(early_stopping=EarlyStoppingOptions(0.01)), np.arange(9), 0),
         "train.early_stopping.holdout=0.01"),
        (lambda: divide(TrainOptions(early_stopping=EarlyStoppingOptions(0.6),
                                     distillation=DistillationOptions(0.4)), np.arange(10), 0),
         "train.early_stopping.holdout=0.6, train.distillation.reference=0.4"),
    ],
)  # fmt: skip
def test_impossible_values_name_their_key(make, key):
    with pytest.raises(RequestError, match=f"^{key}"):
        make()


def test_a_picture_model_refuses_tables(table, split):
    members, nonmembers = split(1, 30, 120)
    with pytest.raises(RequestError, match="model=cnn"):
        train(table, members, nonmembers, SHORT, CnnOptions())
