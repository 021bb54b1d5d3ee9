"""A batch in parts gives the same training, and the choice of parts is kept."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mia.models.networks.network import Network
from mia.models.options import CnnOptions, MlpOptions, WideResnetOptions
from mia.train import tune
from mia.train.defence_options import DpOptions
from mia.train.devices import mesh
from mia.train.hooks import Defences, Strengths
from mia.train.options import TrainOptions
from mia.train.sharded import advance, initialise
from mia.train.state import Model, Plan, Records, even_part

SHAPE = (8, 8, 3)


def parts_of(options, model=None, batch_size=12, members=20):
    rng = np.random.default_rng(0)
    records = Records(rng.integers(0, 256, (40, *SHAPE), np.uint8), rng.integers(0, 3, 40, np.int32))
    one = Model(np.arange(members, dtype=np.int32), np.zeros(0, np.int32), np.uint32(3), Strengths.of(options), {})
    plan = Plan(Network(model or MlpOptions(hidden=[16]), SHAPE, 3), 1 / 255, batch_size, Defences.of(options))
    return plan, records, one


def trained(plan, records, model, steps=4):
    import jax

    on = mesh()
    models = jax.tree.map(lambda leaf: np.stack([leaf] * on.size), model)
    stop = np.full(on.size, steps, np.int32)
    state, _ = advance(plan, on, 1, records, models, initialise(plan, on, models), np.int32(0), stop)
    return [np.asarray(leaf[0]) for leaf in jax.tree.leaves((state.parameters, state.loss, state.correct))]


@pytest.mark.parametrize(
    "options",
    [TrainOptions(l2=1e-2, label_smoothing=0.1), TrainOptions(dropout=0.5), TrainOptions(mixup=0.5)],
    ids=["penalty", "dropout", "mixup"],
)
@pytest.mark.parametrize("part", [4, 5])
def test_parts_of_a_batch_give_the_same_training(options, part):
    plan, records, model = parts_of(options)
    assert plan.may_divide
    pairs = zip(trained(plan, records, model), trained(replace(plan, part=part), records, model), strict=True)
    for whole, own in pairs:
        np.testing.assert_allclose(own, whole, atol=2e-4)


@pytest.mark.parametrize(
    ("options", "model"),
    [
        (TrainOptions(relaxloss=0.5), None),
        (TrainOptions(), WideResnetOptions(depth=10, width=1, norm="batch")),
    ],
)
def test_what_sees_a_whole_batch_is_not_divided(options, model):
    plan, _, _ = parts_of(options, model)
    assert not plan.may_divide


@pytest.mark.parametrize(
    ("batch_size", "most", "size"), [(32, 8, 8), (12, 8, 6), (9, 8, 5), (8, 8, 0), (1, 8, 0), (500, 8, 8)]
)
def test_parts_are_even(batch_size, most, size):
    assert even_part(batch_size, most) == size
    count = -(-batch_size // (size or batch_size))
    assert count == -(-batch_size // most)  # no more parts than needed
    assert count * (size or batch_size) - batch_size < count  # and less padding than one record each


def test_pictures_go_through_in_parts_unless_something_sees_the_whole_batch():
    assert parts_of(TrainOptions(), CnnOptions())[0].fixed_part == 6
    assert parts_of(TrainOptions(), CnnOptions(), batch_size=8)[0].fixed_part == 0
    assert parts_of(TrainOptions(relaxloss=0.5), CnnOptions())[0].fixed_part == 0
    assert parts_of(TrainOptions(), MlpOptions())[0].fixed_part == 0
    private = TrainOptions(dp=DpOptions(noise_multiplier=1.0, clipping_norm=1.0))
    assert parts_of(private, CnnOptions())[0].fixed_part == 0


@pytest.mark.parametrize("part", [4, 5])
def test_parts_under_dp_give_the_same_training(part):
    plan, records, model = parts_of(TrainOptions(dp=DpOptions(noise_multiplier=0.5, clipping_norm=1.0)))
    assert tune.parts_to_try(plan) == [0, 6]
    pairs = zip(trained(plan, records, model), trained(replace(plan, part=part), records, model), strict=True)
    for whole, own in pairs:
        np.testing.assert_allclose(own, whole, atol=2e-4)


def found(monkeypatch, tmp_path, seconds, wanted="auto"):
    calls = []

    def timed(plans, on, records, job):
        calls.append(sorted(plans))
        return seconds

    monkeypatch.setattr(tune, "timed", timed)
    plan, records, model = parts_of(TrainOptions(), CnnOptions(), 128, 256)
    chosen, line = tune.tuned(wanted, plan, mesh(), 1, records, model, tmp_path)
    return chosen.part, line, calls


def test_the_fastest_is_chosen_and_kept(monkeypatch, tmp_path):
    part, line, calls = found(monkeypatch, tmp_path, {0: 2.0, 8: 1.5, 32: 1.0})
    assert (part, calls) == (32, [[0, 8, 32]])
    assert f"32 at a time, {mesh().size * 128:,} records a second, 2.00 times the fixed choice" in line
    assert found(monkeypatch, tmp_path, {0: 1.0})[::2] == (32, [])  # not timed again
    assert found(monkeypatch, tmp_path, {0: 1.0, 8: 2.0}, "again")[0] == 0
    assert found(monkeypatch, tmp_path, {0: 2.0, 8: 1.0})[0] == 0
    for path in tmp_path.iterdir():
        path.write_text(json.dumps({"seconds_per_step": []}))
    assert found(monkeypatch, tmp_path, {8: 1.0})[0] == 8  # the whole batch does not run


def test_a_gain_within_the_noise_changes_nothing(monkeypatch, tmp_path):
    part, line, _ = found(monkeypatch, tmp_path, {0: 1.02, 32: 1.0})
    assert part == 0
    assert line.endswith("the fixed choice")


def test_where_no_way_runs_training_begins_as_it_is(monkeypatch, tmp_path):
    assert found(monkeypatch, tmp_path, {})[:2] == (0, "")


def test_off_times_nothing(monkeypatch, tmp_path):
    assert found(monkeypatch, tmp_path, {0: 2.0, 32: 1.0}, "off") == (0, "", [])
    assert not list(tmp_path.iterdir())


def test_what_does_not_run_is_left_out(monkeypatch):
    import jax

    plan, records, model = parts_of(TrainOptions())
    real = tune.advance

    def fails(plan, *arguments):
        if plan.part == 4:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED")
        return real(plan, *arguments)

    monkeypatch.setattr(tune, "advance", fails)
    plans = {0: plan, 4: replace(plan, part=4)}
    assert list(tune.timed(plans, mesh(), records, model)) == [0]
