"""A batch in parts gives the same training, and the choice of parts is kept."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mia.models.networks.convolution import WAYS
from mia.models.networks.network import Network
from mia.models.options import CnnOptions, MlpOptions, WideResnetOptions
from mia.train import tune
from mia.train.defence_options import DpOptions
from mia.train.devices import mesh
from mia.train.hooks import Defences, Strengths
from mia.train.many import train_many
from mia.train.options import EngineOptions, TrainOptions
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


FIXED = tune.Way(part=0, convolution="fixed", vectors=512, width=1)


def found(monkeypatch, tmp_path, seconds, wanted="auto", models=1, side_by_side="auto"):
    """Return what is chosen where ways take these seconds, by what they differ in from the fixed one."""
    calls = []

    def timed(ways, plan, on, records, job):
        known = {way: seconds(way) for way in ways}
        calls.append(list(ways))
        return {way: value for way, value in known.items() if value}

    monkeypatch.setattr(tune, "timed", timed)
    plan, records, model = parts_of(TrainOptions(), CnnOptions(), 128, 256)
    engine = EngineOptions(side_by_side, tune=wanted)
    chosen, width, line = tune.tuned(engine, plan, mesh(), 1, records, [model] * models * mesh().size, tmp_path)
    return tune.Way(chosen.part, chosen.convolution, chosen.vectors, width), line, calls


def by_part(seconds):
    return lambda way: seconds.get(way.part, 9.0)


def test_the_fastest_is_chosen_and_kept(monkeypatch, tmp_path):
    way, line, calls = found(monkeypatch, tmp_path, by_part({0: 2.0, 8: 1.5, 32: 1.0}))
    assert way == replace(FIXED, part=32)
    assert [one.part for one in calls[0]] == [0, 8, 32]
    assert calls[-1] == [FIXED, way]  # once more, beside one another
    assert f"32 at a time, {mesh().size * 128:,} records a second, 2.00 times the fixed choice" in line
    again, same, calls = found(monkeypatch, tmp_path, by_part({0: 1.0}))
    assert (again, same, calls) == (way, line, [])  # not timed again
    assert found(monkeypatch, tmp_path, by_part({0: 1.0, 8: 2.0}), "again")[0] == FIXED
    assert found(monkeypatch, tmp_path, by_part({0: 2.0, 8: 1.0}))[0] == FIXED
    for path in tmp_path.iterdir():
        path.write_text(json.dumps({"way": [], "seconds_per_step": [], "gain": 1}))
    way, line, _ = found(monkeypatch, tmp_path, by_part({0: None, 8: 1.0}))
    assert way == replace(FIXED, part=8)
    assert line.endswith("the fixed choice does not run")


def test_one_thing_after_another_is_chosen(monkeypatch, tmp_path):
    def seconds(way):
        return 1 / way.width + (way.convolution == "fixed") + (way.part != 8) + (way.vectors == 256)

    way, line, calls = found(monkeypatch, tmp_path, seconds, models=6)
    assert way == tune.Way(8, "strips", 512, 6)
    assert all(one.part == 8 for one in calls[1])
    assert "8 at a time, convolutions in strips, 6 models side by side, " in line


def test_only_as_many_side_by_side_as_there_are_and_as_is_wished(monkeypatch, tmp_path):
    widths = []

    def seconds(way):
        widths.append(way.width)
        return 1 / way.width

    assert found(monkeypatch, tmp_path, seconds, models=1)[0].width == 1
    assert set(widths) == {1}
    assert found(monkeypatch, tmp_path, seconds, models=20)[0].width == 10
    assert set(widths) == {1, 4, 10}  # groups of equal size
    assert found(monkeypatch, tmp_path, seconds, "again", 20, "1")[0].width == 1


def test_a_gain_within_the_noise_changes_nothing(monkeypatch, tmp_path):
    way, line, _ = found(monkeypatch, tmp_path, by_part({0: 1.02, 32: 1.0}))
    assert way == FIXED
    assert line.endswith("the fixed choice")


def test_what_was_fast_only_once_is_not_taken(monkeypatch, tmp_path):
    """The last trial, beside the fixed choice, decides."""
    once = {8: 0.5}

    def seconds(way):
        return once.pop(way.part, 1.0)

    way, line, calls = found(monkeypatch, tmp_path, seconds)
    assert way == FIXED
    assert len(calls[-1]) == 2
    assert line.endswith("the fixed choice")


def test_where_no_way_runs_training_begins_as_it_is(monkeypatch, tmp_path):
    assert found(monkeypatch, tmp_path, by_part(dict.fromkeys((0, 8, 32))))[:2] == (FIXED, "")
    assert not list(tmp_path.iterdir())


def test_off_times_nothing(monkeypatch, tmp_path):
    assert found(monkeypatch, tmp_path, by_part({0: 2.0, 32: 1.0}), "off") == (FIXED, "", [])
    assert not list(tmp_path.iterdir())


def test_elsewhere_the_vendor_s_convolution_is_tried():
    gpu = SimpleNamespace(devices=np.array([SimpleNamespace(platform="gpu")]))
    plan, _, _ = parts_of(TrainOptions(), CnnOptions())
    fixed = replace(FIXED, width=50)
    assert tune.ways_to_try(plan, gpu, fixed, 50) == {"convolution": ["vendor"]}
    assert tune.ways_to_try(parts_of(TrainOptions())[0], gpu, fixed, 50) == {"convolution": []}


@pytest.mark.parametrize("model", [CnnOptions(), WideResnetOptions(depth=10, width=1)], ids=["cnn", "wide_resnet"])
def test_every_way_of_convolutions_gives_the_same_training(model):
    plan, records, one = parts_of(TrainOptions(), model, batch_size=8)
    expected = trained(plan, records, one, 2)
    for other in (*(replace(plan, convolution=way) for way in WAYS[1:]), replace(plan, vectors=256)):
        for own, whole in zip(trained(other, records, one, 2), expected, strict=True):
            np.testing.assert_allclose(own, whole, atol=3e-4 * max(1.0, float(np.abs(whole).max())))


def test_what_does_not_run_is_left_out_and_each_way_is_timed(monkeypatch):
    import jax

    plan, records, model = parts_of(TrainOptions())
    real, widths = tune.advance, set()

    def fails(plan, on, width, *arguments):
        widths.add(width)
        if plan.part == 4:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED")
        return real(plan, on, width, *arguments)

    monkeypatch.setattr(tune, "advance", fails)
    ways = [FIXED, replace(FIXED, part=4), replace(FIXED, width=2)]
    times = tune.timed(ways, plan, mesh(), records, model)
    assert list(times) == [ways[0], ways[2]]
    assert widths == {1, 2}
    assert all(0 < seconds < 10 for seconds in times.values())


def test_what_is_far_behind_is_not_tried_for_long(monkeypatch):
    tries = []

    def one(way, plan, on, records, job, steps):
        tries.append((way.part, steps))
        return {0: 1e-4, 8: 1.2e-4, 32: 1e-3}[way.part]

    monkeypatch.setattr(tune, "_try", one)
    plan, records, model = parts_of(TrainOptions())
    ways = [replace(FIXED, part=part) for part in (0, 8, 32)]
    assert tune.timed(ways, plan, mesh(), records, model) == dict(zip(ways, (1e-4, 1.2e-4, 1e-3), strict=True))
    counts = {part: [steps for own, steps in tries if own == part] for part in (0, 8, 32)}
    assert {part: len(own) for part, own in counts.items()} == {0: 3 + tune.ROUNDS, 8: 3 + tune.ROUNDS, 32: 4}
    assert counts[0][:3] == [1, 1, 500]  # long enough, once it is known how long a step takes


def test_models_trained_by_the_fastest_way_are_the_same(monkeypatch, table, split, tmp_path):
    """The real thing, chosen on this machine: whatever it is, models differ by round-off alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    members, nonmembers = split(6, 40, 120)
    arguments = table, members, nonmembers, np.arange(6, dtype=np.uint32), MlpOptions(hidden=[8])
    options = [TrainOptions(epochs=3, batch_size=16)] * 6
    fixed, chosen = (list(train_many(*arguments, options, EngineOptions(tune=tune))) for tune in ("off", "auto"))
    assert len(list((tmp_path / "mia" / "tuned").iterdir())) == 1
    for one, other in zip(fixed, chosen, strict=True):
        assert not one.warnings
        assert other.warnings[0].startswith("engine.tune=auto: batches of 16 go through mlp")
        for name, value in one.parameters.items():
            np.testing.assert_allclose(other.parameters[name], value, atol=1e-5)
