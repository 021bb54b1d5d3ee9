"""Training means what it says: many equal alone, nothing leaks in, strength zero is nothing, failure has a name."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training import hooks_of

from mia.checks import RequestError
from mia.models.networks.network import Network
from mia.models.options import CnnOptions, MlpOptions, WideResnetOptions
from mia.train import devices, group, many
from mia.train.defence_options import DistillationOptions
from mia.train.defences import Batch
from mia.train.hooks import Strengths
from mia.train.loss import first_largest, training_loss
from mia.train.many import DivergedError, train_many
from mia.train.options import EngineOptions, TrainOptions
from mia.train.state import optimiser

MLP = MlpOptions(hidden=[16])
SHORT = TrainOptions(epochs=3, batch_size=16, test_records=20, learning_rate=0.01)
SEEDS = np.arange(5, dtype=np.uint32)


def train(data, members, nonmembers, seeds=SEEDS, model=MLP, options=SHORT, **how):
    chosen = options if isinstance(options, list) else [options] * len(members)
    return list(train_many(data, members, nonmembers, seeds[: len(members)], model, chosen, **how))


def assert_same(one, other):
    for name, value in one.parameters.items():
        np.testing.assert_array_equal(value, other.parameters[name])
    np.testing.assert_array_equal(one.train_loss, other.train_loss)
    np.testing.assert_array_equal(one.test_accuracy, other.test_accuracy)


@pytest.mark.parametrize("model", [MLP, CnnOptions()], ids=lambda model: model.name)
def test_many_models_equal_each_alone(model, pictures, split):
    members, nonmembers = split(3, 30, 96)
    options = [replace(SHORT, l2=l2, dropout=0.2) for l2 in (0.0, 0.01, 0.1)]
    together = train(pictures, members, nonmembers, model=model, options=options)
    assert [trained.position for trained in together] == [0, 1, 2]
    for i in range(3):
        rows = slice(i, i + 1)
        (alone,) = train(pictures, members[rows], nonmembers[rows], SEEDS[rows], model, options[rows])
        assert_same(alone, together[i])


@pytest.mark.parametrize("width", ["1", "2", "3"])
def test_models_side_by_side_change_nothing_but_roundoff(width, table, split):
    members, nonmembers = split(5, 40, 120)
    one_by_one = train(table, members, nonmembers)
    side_by_side = train(table, members, nonmembers, engine=EngineOptions(width))
    for one, other in zip(one_by_one, side_by_side, strict=True):
        for name, value in one.parameters.items():
            np.testing.assert_allclose(other.parameters[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [MLP, CnnOptions()], ids=lambda model: model.name)
def test_the_number_of_devices_changes_nothing(model, pictures, split, monkeypatch):
    members, nonmembers = split(3, 30, 96)
    on_all = train(pictures, members, nonmembers, model=model)
    monkeypatch.setattr(many, "mesh", lambda: jax.sharding.Mesh(np.array(jax.devices()[:1]), (devices.MODELS,)))
    on_one = train(pictures, members, nonmembers, model=model)
    for one, other in zip(on_one, on_all, strict=True):
        assert_same(one, other)


def test_one_epoch_equals_a_plain_loop(table):
    """The obvious twin: optax and a Python loop, the same order of records, a short last batch at its own size."""
    members, nonmembers = np.arange(0, 37, dtype=np.int32)[None], np.arange(37, 74, dtype=np.int32)[None]
    options = TrainOptions(epochs=1, batch_size=16, learning_rate=0.02, learning_rate_decay=0.1, l2=0.03)
    options = replace(options, weight_decay=0.1, label_smoothing=0.2)
    (trained,) = train(table, members, nonmembers, options=options)

    network = Network(MLP, (12,), 3)
    key = jax.random.key(0)
    parameters, _ = network.initialise(jax.random.fold_in(key, 0))
    bits = jax.random.bits(jax.random.fold_in(jax.random.fold_in(key, 1), 0), (37,))
    order = members[0][np.argsort(np.asarray(bits), kind="stable")]
    rate = lambda step: 0.02 / (1 + 0.1 * step)  # noqa: E731
    adam = optax.adamw(rate, eps=1e-7, weight_decay=0.1)
    state = adam.init(parameters)
    losses, correct = [], 0
    for first in range(0, 37, 16):
        batch = order[first : first + 16]
        x, y = jnp.array(table.x[batch]), table.y[batch]

        def loss(parameters, x=x, y=y):
            logits, _ = network.apply(parameters, {}, x)
            smooth = 0.8 * jax.nn.one_hot(y, 3) + 0.2 / 3
            penalty = sum((leaf**2).sum() for leaf in jax.tree.leaves(parameters))
            return optax.softmax_cross_entropy(logits, smooth).mean() + 0.03 * penalty, logits

        gradient, logits = jax.grad(loss, has_aux=True)(parameters)
        losses += list(optax.softmax_cross_entropy_with_integer_labels(logits, y))
        correct += int((logits.argmax(-1) == y).sum())
        updates, state = adam.update(gradient, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
    for name, value in trained.parameters.items():
        _, layer, kind = name.split(".")
        np.testing.assert_allclose(value, parameters["layers"][int(layer)][kind], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(trained.train_loss, [np.mean(losses)], rtol=1e-5)
    np.testing.assert_allclose(trained.train_accuracy, [correct / 37], rtol=1e-6)


def test_records_of_other_models_change_nothing(table, split):
    members, nonmembers = split(2, 30, 120)
    before = train(table, members, nonmembers, options=replace(SHORT, test_records=0))
    x, y = table.x.copy(), table.y.copy()
    held_out = np.setdiff1d(np.arange(120), members[0])
    x[held_out], y[held_out] = 7.0, 1
    after = train(replace(table, x=x, y=y), members, nonmembers, options=replace(SHORT, test_records=0))
    assert_same(before[0], after[0])
    assert np.isnan(before[0].test_loss).all()


@pytest.mark.parametrize("strength", ["l2", "weight_decay", "label_smoothing"])
def test_every_strength_does_something_and_compiles_nothing(strength, table, split, compilations):
    members, nonmembers = split(2, 30, 120)
    plain = train(table, members, nonmembers)
    before = len(compilations)
    defended = train(table, members, nonmembers, options=replace(SHORT, **{strength: 0.1}))
    again = train(table, members, nonmembers, options=[replace(SHORT, learning_rate=0.02), SHORT], seeds=SEEDS[:2])
    assert len(compilations) == before
    assert any((value != plain[0].parameters[name]).any() for name, value in defended[0].parameters.items())
    assert_same(plain[1], again[1])


def test_dropout_is_compiled_where_it_is_on_and_then_for_every_rate(table, split, compilations):
    members, nonmembers = split(2, 30, 120)
    plain = train(table, members, nonmembers)
    some = train(table, members, nonmembers, options=replace(SHORT, dropout=0.1))
    before = len(compilations)
    more = train(table, members, nonmembers, options=replace(SHORT, dropout=0.5))
    assert len(compilations) == before
    for one, other in ((plain, some), (plain, more), (some, more)):
        assert any((value != other[0].parameters[name]).any() for name, value in one[0].parameters.items())


@pytest.fixture
def compilations():
    events = []

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            events.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield events
    jax.monitoring.unregister_event_duration_listener(listen)


def test_strength_zero_is_bit_identical_to_no_defence():
    rng = np.random.default_rng(0)
    x, labels, weights = jnp.float32(rng.normal(size=(8, 5))), jnp.arange(8) % 3, jnp.ones(8).at[7].set(0)
    parameters = {"kernel": jnp.float32(rng.normal(size=(5, 3))), "bias": jnp.float32(rng.normal(size=3))}
    strengths = Strengths.of(SHORT)

    def plain(parameters):
        losses = -jax.nn.log_softmax(x @ parameters["kernel"] + parameters["bias"])[jnp.arange(8), labels]
        return (losses * weights).sum() / weights.sum()

    def defended(parameters):
        logits = x @ parameters["kernel"] + parameters["bias"]
        return training_loss(logits, Batch(x, labels, jax.nn.one_hot(labels, 3)), parameters, hooks_of(SHORT, weights))

    with jax.disable_jit():  # one operation after another: nothing is merged differently in the two
        expected, found = jax.grad(plain)(parameters), jax.grad(defended)(parameters)
        adam = optax.adam(strengths.learning_rate, eps=strengths.epsilon)
        ours = optimiser(strengths, hooks_of(SHORT, parameters=parameters))
        moved = adam.update(expected, adam.init(parameters))[0]
        our_move = ours.update(found, ours.init(parameters))[0]
    for name in parameters:
        np.testing.assert_array_equal(found[name], expected[name])
        np.testing.assert_array_equal(our_move[name], moved[name])


def test_longer_training_goes_through_the_same_states(table, split):
    members, nonmembers = split(1, 30, 120)
    (short,) = train(table, members, nonmembers)
    (long,) = train(table, members, nonmembers, options=replace(SHORT, epochs=200))
    np.testing.assert_array_equal(long.train_loss[:3], short.train_loss)
    assert long.train_loss[-1] < 0.1 * short.train_loss[0]
    assert long.train_accuracy[-1] == 1


def test_wide_resnet_learns(pictures, split):
    members, nonmembers = split(2, 40, 96)
    model = WideResnetOptions(depth=10, width=1)
    options = TrainOptions(epochs=6, batch_size=16, learning_rate=0.01)
    trained = train(pictures, members, nonmembers, model=model, options=options)[1]
    assert trained.train_loss[-1] < 0.5 * trained.train_loss[0]


def test_divergence_names_the_models_and_the_likely_cause(table, split):
    members, nonmembers = split(3, 30, 120)
    options = [SHORT, SHORT, replace(SHORT, learning_rate=1e38)]
    done = []
    with pytest.raises(DivergedError, match=r"model 2 .*learning_rate") as caught:
        done.extend(train_many(table, members, nonmembers, SEEDS[:3], MLP, options, EngineOptions("1")))
    assert caught.value.models == (2,)
    assert 1 <= caught.value.epoch <= 3
    unscaled = replace(table, scale=1e38)
    with pytest.raises(DivergedError, match="scale"):
        train(unscaled, members, nonmembers, model=MlpOptions(hidden=[16], activation="relu"))


def test_full_memory_halves_the_width_and_says_so(table, split, monkeypatch):
    members, nonmembers = split(5, 30, 120)
    expected = train(table, members, nonmembers)
    real, widths = group.advance, []

    def small_memory(plan, on, width, *rest):
        widths.append(width)
        if width > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
        return real(plan, on, width, *rest)

    monkeypatch.setattr(group, "advance", small_memory)
    engine = EngineOptions("3")
    trained = train(table, members, nonmembers, engine=engine)
    assert widths[0] > 1
    for one in trained:
        assert any("device memory was full with" in line for line in one.warnings), one.warnings
    assert not any(one.warnings for one in expected)
    for one, other in zip(expected, trained, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize(
    "options",
    [[SHORT] * 3, [replace(SHORT, distillation=DistillationOptions(0.5)), SHORT]],
    ids=["three models", "a teacher counts as a model"],
)
def test_progress_rises_to_one(options, table, split):
    members, nonmembers = split(len(options), 40, 120)
    reports = []
    train(table, members, nonmembers, options=options, progress=reports.append)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert reports[-1].num_models == 3


def test_requests_that_cannot_work(table, split):
    members, nonmembers = split(2, 30, 120)
    with pytest.raises(RequestError, match=r"train\.epochs"):
        train(table, members, nonmembers, options=[SHORT, replace(SHORT, epochs=4)])
    with pytest.raises(RequestError, match="model=cnn"):
        train(table, members, nonmembers, model=CnnOptions())


def test_the_largest_is_the_first_among_equals():
    logits = np.random.default_rng(0).integers(0, 3, (500, 7)).astype(np.float32)
    logits[0] = -np.inf
    np.testing.assert_array_equal(first_largest(jnp.array(logits)), logits.argmax(axis=1))
