"""The owner's view: the truth reaches who declares that it needs it, and nobody else; at chance where nothing is."""

import dataclasses
from dataclasses import dataclass, replace

import numpy as np
import pytest
from attack_cases import EVERY, random_signals
from null_cases import area, null_case

from mia.attacks import ATTACKS, attack, attack_words, is_owners, run_attack
from mia.attacks.supervised import SupervisedOptions
from mia.checks import RequestError
from mia.experiment.attacking import attack_target
from mia.records import AttackTask, Signals

MODELS = ("logistic", "forest", "boosting")


@dataclass
class SpyOptions:
    """Takes whatever it is given."""


@pytest.fixture
def _registry(monkeypatch):
    ATTACKS.names()
    for name in ("_entries", "_owners"):
        monkeypatch.setattr(ATTACKS, name, dict(getattr(ATTACKS, name)))


def reachable(value, seen=None):
    """Yield all arrays that can be reached from a value through fields, containers and attributes."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from reachable(one, seen)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from reachable(one, seen)
    elif hasattr(value, "__dict__"):
        yield from reachable(vars(value), seen)


@pytest.mark.usefixtures("_registry")
def test_an_attack_of_the_attackers_cannot_get_the_truth():
    given = {}

    @attack("spy", options=SpyOptions)
    def spy(*positional, **named):
        given["values"] = (positional, named)
        return np.zeros(60)

    signals, is_member = random_signals()
    task = AttackTask(signals, np.arange(60), is_member)
    attack_target({"spy": SpyOptions(), "loss": EVERY["loss"]}, task, 0, lambda _: None)
    positional, named = given["values"]
    assert len(positional) == 3
    assert not named
    for array in reachable(given["values"]):
        assert array is not is_member
        assert not (array.shape == is_member.shape and (array.astype(bool) == is_member).all())
    assert "is_member" not in {field.name for field in dataclasses.fields(Signals)}


@pytest.mark.usefixtures("_registry")
def test_who_asks_for_the_truth_without_saying_so_fails():
    @attack("greedy", options=SpyOptions)
    def greedy(signals, options, seed, is_member):
        return is_member.astype(float)

    signals, is_member = random_signals()
    with pytest.raises(Exception, match="is_member"):
        run_attack("greedy", signals, SpyOptions(), 0, is_member=is_member)


def test_an_attacker_may_not_declare_that_it_needs_the_truth():
    with pytest.raises(RequestError, match="attack=greedy: needs=membership is for view='owner' alone"):
        attack("greedy", options=SpyOptions, needs=("membership",))


def test_only_owners_attacks_need_the_truth_and_say_whose_view_it_is():
    for name, spec in ATTACKS.items():
        assert ("membership" in spec.needs) <= spec.is_owners
        assert is_owners(name) == ("owner's view" in attack_words(name))
    assert attack_words("supervised") == "supervised (owner's view)"
    assert attack_words("of another time") == "of another time"


def test_without_the_truth_it_is_refused():
    with pytest.raises(RequestError, match="attack=supervised needs the target's membership, which is not given here"):
        run_attack("supervised", random_signals()[0], SupervisedOptions(), 0)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shadows", [0, 4])
def test_it_finds_what_is_there_with_shadows_or_without(model, shadows):
    signals, is_member = random_signals(records=600, shadows=shadows, effect=4.0)
    scores = run_attack("supervised", signals, SupervisedOptions(model), 0, is_member=is_member)
    assert area(scores.score, is_member) > 0.65
    assert np.mean(scores.is_predicted == is_member) > 0.58
    assert not scores.num_in.any()
    assert any("owner's view" in line for line in scores.warnings)


@pytest.mark.parametrize("model", MODELS)
def test_a_record_is_never_judged_by_its_own_membership(model):
    """Turning one record's truth around moves it into another fold's teachers at most: its place hardly changes."""
    signals, is_member = random_signals(records=200, effect=0.0, shadows=0)
    exact = run_attack("supervised", signals, SupervisedOptions(model, "logits"), 0, is_member=is_member)
    assert abs(area(exact.score, is_member) - 0.5) < 0.15  # a model asked about its own teachers would reach .9


@pytest.mark.parametrize(("model", "seeds"), [("logistic", 40), ("forest", 10), ("boosting", 16)])
@pytest.mark.parametrize("kind", ["votes", "logits", "label"])
@pytest.mark.slow
def test_at_chance_where_nothing_was_learnt(model, seeds, kind):
    found, right = [], []
    for seed in range(seeds):
        signals, is_member = null_case(seed, "coins", kind, 1)
        scores = run_attack("supervised", signals, SupervisedOptions(model), seed, is_member=is_member)
        found.append(area(scores.score, is_member))
        right.append((1 + scores.is_predicted[is_member].mean() - scores.is_predicted[~is_member].mean()) / 2)
    error = np.sqrt(1 / 3 / 400 / seeds)
    assert abs(np.mean(found) - 0.5) < 4.5 * error
    assert abs(np.mean(right) - 0.5) < 4.5 * 1.7 * error


@pytest.mark.parametrize("model", MODELS)
def test_equal_answers_rank_nobody(model):
    signals, is_member = null_case(0, "coins", "uniform", 1)
    signals.labels[:] = 1
    scores = run_attack("supervised", signals, SupervisedOptions(model), 0, is_member=is_member)
    assert set(scores.score) == {0.5}


@pytest.mark.parametrize("model", MODELS)
def test_the_order_of_records_changes_nothing(model):
    signals, is_member = random_signals(records=120, shadows=0)
    order = np.random.default_rng(1).permutation(120)
    moved = replace(
        signals,
        labels=signals.labels[order],
        target_outputs=signals.target_outputs[order],
        shadow_outputs=signals.shadow_outputs[:, order],
        shadow_membership=signals.shadow_membership[:, order],
        shadow_own=signals.shadow_own[:, order],
    )
    one = run_attack("supervised", signals, SupervisedOptions(model), 0, is_member=is_member)
    other = run_attack("supervised", moved, SupervisedOptions(model), 0, is_member=is_member[order])
    np.testing.assert_allclose(one.score[order], other.score, atol=1e-9)


def test_options_and_counts_are_checked():
    with pytest.raises(RequestError, match=r"attack.supervised.model='tree'"):
        SupervisedOptions("tree")
    with pytest.raises(RequestError, match=r"attack.supervised.features='sort' is not known"):
        SupervisedOptions(features="sort")
    signals, _ = random_signals()
    few = np.zeros(60, bool)
    few[:3] = True
    with pytest.raises(RequestError, match=r"attack.supervised.folds=5 must be at most 3, the number of members"):
        run_attack("supervised", signals, SupervisedOptions(), 0, is_member=few)


def test_a_persons_records_do_not_give_one_another_away():
    """Answers bear the mark of whose record it is, and nothing of the training: only split people look like members."""
    signals, _ = random_signals(records=1200, shadows=2, effect=0.0)
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(120), 10)
    is_member = (generator.permutation(120) < 60)[groups]
    outputs = signals.target_outputs / 50 + 3 * generator.normal(size=(120, 4)).astype(np.float32)[groups]
    marked = replace(signals, target_outputs=outputs, labels=np.zeros(1200, np.int32))
    options = SupervisedOptions(model="boosting")
    found = [
        run_attack("supervised", marked, options, 0, is_member=is_member, groups=whose) for whose in (None, groups)
    ]
    split, together = (area(one.score, is_member) for one in found)
    assert split > 0.8
    assert 0.35 < together < 0.65
    with pytest.raises(RequestError, match=r"attack\.supervised\.folds=5 must be at most 1, the number of groups of"):
        run_attack("supervised", marked, options, 0, is_member=is_member, groups=is_member.astype(int))
