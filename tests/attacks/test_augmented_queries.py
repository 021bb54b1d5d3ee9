"""Changed copies of records, and the attacks that ask about them: label-only, and LiRA with several views."""

from dataclasses import replace

import numpy as np
import pytest
from attack_cases import EVERY, random_signals
from attack_twins import lira

from mia.attacks import per_record, run_attack
from mia.attacks.augmented_queries import Noise, picture_view, picture_views
from mia.attacks.growth import first_shadows, growth
from mia.attacks.label_only import LabelOnlyOptions
from mia.attacks.lira import LiraOnlineOptions
from mia.checks import RequestError


class Memory:
    """An oracle whose models know their members: right near them, and by a coin's toss per record far away."""

    def __init__(self, signals, x, member, reach):
        self.signals, self.x, self.member, self.reach, self.asked = signals, x, member, reach, []

    def features(self, records=None):
        return self.x[self.signals.candidates if records is None else records]

    def ask(self, model, x):
        self.asked.append(model)
        flat, known = (each.reshape(len(each), -1).astype(float) for each in (x, self.x))
        distances = np.abs(flat[:, None] - known[None]).mean(2)
        nearest = distances.argmin(1)
        is_right = self.member[model, nearest] | (distances[np.arange(len(x)), nearest] < self.reach)
        outputs = np.zeros((len(x), self.signals.num_classes))
        labels = self.signals.labels[nearest]
        outputs[np.arange(len(x)), np.where(is_right, labels, (labels + 1) % self.signals.num_classes)] = 4
        return outputs


def with_oracle(x, records=40, shadows=4, reach=0.05, **changes):
    signals, _ = random_signals(records=records, shadows=shadows)
    member = np.random.default_rng(9).random((shadows + 1, records)) < 0.5
    outputs = np.zeros((shadows + 1, records, 4), np.float32)
    outputs[:, np.arange(records), signals.labels] = 4  # all models are right about the records themselves
    signals = replace(
        signals,
        target_outputs=outputs[0],
        shadow_outputs=outputs[1:],
        shadow_membership=member[1:].astype(np.int8),
        shadow_own=np.ones((shadows, records), bool),
        **changes,
    )
    oracle = Memory(signals, x, member, reach)
    return replace(signals, oracle=oracle), member[0], oracle


GENERATOR = np.random.default_rng(0)
PICTURES = GENERATOR.integers(0, 256, (40, 6, 6, 1)).astype(np.uint8)
PLAIN = np.broadcast_to(6 * np.arange(40).reshape(40, 1, 1, 1), (40, 6, 6, 1)).astype(np.uint8)
BITS = GENERATOR.integers(0, 2, (40, 64)).astype(np.uint8)
NUMBERS = GENERATOR.normal(0, 1, (40, 8)).astype(np.float32) * 10.0 ** np.arange(-3, 5, dtype=np.float32)


@pytest.mark.parametrize(("x", "noise"), [(PLAIN, 0.05), (BITS, 0.1)], ids=["pictures", "bits"])
def test_label_only_finds_what_the_labels_alone_tell(x, noise):
    signals, is_member, oracle = with_oracle(x)
    steps = []
    chosen = LabelOnlyOptions(noise=noise)
    scores = run_attack("label_only", signals, chosen, 0, lambda *step: steps.append(step))
    assert (scores.score[is_member] == 1).all()
    assert (scores.score[~is_member] < 1).all()
    assert (scores.is_predicted == is_member).all()
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]  # the target, its placebo, two stand-ins
    assert sorted(set(oracle.asked)) == [0, 1, 2]


def test_label_only_uses_the_label_and_nothing_else():
    signals, _, oracle = with_oracle(PICTURES)
    one = run_attack("label_only", signals, LabelOnlyOptions(), 0)
    oracle_ask = oracle.ask
    oracle.ask = lambda model, x: (oracle_ask(model, x) > 2).astype(float)
    changed = replace(signals, target_outputs=signals.target_outputs / 9, shadow_outputs=signals.shadow_outputs * 3)
    other = run_attack("label_only", changed, LabelOnlyOptions(), 0)
    np.testing.assert_array_equal(one.score, other.score)
    assert (one.is_predicted == other.is_predicted).all()


def test_label_only_learns_from_shadows_whose_records_are_not_asked_about():
    is_candidate = np.arange(40) < 20
    signals, is_member, _ = with_oracle(BITS, is_candidate=is_candidate)
    membership = np.where(is_candidate, 0, signals.shadow_membership).astype(np.int8)
    signals = replace(signals, shadow_membership=membership, shadow_own=np.tile(~is_candidate, (4, 1)))
    scores = run_attack("label_only", signals, LabelOnlyOptions(), 0)
    assert (scores.is_predicted == is_member[:20]).all()


def test_label_only_without_stand_ins_has_no_rule():
    signals, _, _ = with_oracle(BITS)
    scores = run_attack("label_only", signals, LabelOnlyOptions(stand_ins=0), 0)
    assert scores.is_predicted is None
    assert "no shadow" in scores.warnings[0]


def test_label_only_repeats_with_its_seed():
    signals, _, _ = with_oracle(NUMBERS, reach=300)
    one, same, other = (run_attack("label_only", signals, LabelOnlyOptions(), seed).score for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_views_are_distinct_and_the_first_is_the_record():
    views = picture_views(1)
    assert len(set(views)) == 18
    assert views[:2] == [(0, 0, False), (0, 0, True)]
    assert picture_view(PICTURES, views[0]) is PICTURES
    np.testing.assert_array_equal(picture_view(PICTURES, views[1])[0, :, 0], PICTURES[0, :, -1])


def test_shift_moves_and_reflects():
    picture = np.arange(9).reshape(1, 3, 3, 1)
    down = picture_view(picture, (1, 0, False))[0, ..., 0]
    assert down.tolist() == [[3, 4, 5], [0, 1, 2], [3, 4, 5]]
    left = picture_view(picture, (0, -1, False))[0, ..., 0]
    assert left.tolist() == [[1, 2, 1], [4, 5, 4], [7, 8, 7]]


def test_noise_suits_the_records():
    generator = np.random.default_rng(1)
    flipped = Noise.like(BITS).add(BITS, 0.25, generator)
    assert set(np.unique(flipped)) == {0, 1}
    assert flipped.dtype == BITS.dtype
    assert (flipped != BITS).mean() == pytest.approx(0.25, abs=0.03)
    noisy = Noise.like(NUMBERS).add(NUMBERS, 0.1, generator)
    assert ((noisy - NUMBERS).std(0) / NUMBERS.std(0)).tolist() == pytest.approx([0.1] * 8, rel=0.4)
    pixels = Noise.like(PICTURES).add(PICTURES, 2.0, generator)
    assert pixels.dtype == np.uint8
    assert pixels.min() == 0
    assert pixels.max() == 255


@pytest.mark.parametrize("name", ["lira_online", "lira_offline"])
def test_scores_of_several_views_are_averaged(name):
    signals, _ = random_signals(records=40, shadows=8)
    member = np.concatenate([np.zeros((1, 40)), signals.shadow_membership]) == 1
    oracle = Memory(signals, PICTURES, member, 0)
    plain = oracle.ask
    answers = {}

    def ask(model, x):
        noise = np.random.default_rng((model, int(x.astype(int)[0].sum()), int(x[0, 0, 0, 0]))).normal(size=(40, 4))
        answers.setdefault(model, []).append(plain(model, x) + noise)
        return answers[model][-1]

    oracle.ask = ask
    signals = replace(signals, oracle=oracle)
    scores = run_attack(name, signals, replace(EVERY[name], queries=3, variance="global"), 0)
    assert all(len(given) == 2 for given in answers.values())  # the record itself was answered before
    form = "online" if name == "lira_online" else "one_sided"
    expected = [lira(signals, "global", "mean", form)]
    for view in range(2):
        outputs = np.array([answers[model][view] for model in range(9)])
        seen = replace(signals, target_outputs=outputs[0], shadow_outputs=outputs[1:])
        expected.append(lira(seen, "global", "mean", form))
    np.testing.assert_allclose(scores.score, np.mean(expected, axis=0), rtol=1e-8)
    assert scores.is_predicted is not None
    run_attack(name, signals, replace(EVERY[name], queries=3, location="median"), 0)
    assert all(len(given) == 2 for given in answers.values())  # nobody is asked twice


@pytest.mark.parametrize("name", ["lira_online", "lira_offline"])
def test_a_threshold_for_means_over_views_is_learnt_from_means_over_views(name):
    """Also where the stand-ins' own records are not asked about, as under the disjoint protocol."""
    signals, _, oracle = with_oracle(PICTURES)
    is_candidate = np.arange(40) < 20
    if name == "lira_offline":
        membership = np.where(is_candidate, 0, signals.shadow_membership).astype(np.int8)
        signals = replace(signals, shadow_membership=membership)
    noise = np.random.default_rng(1).normal(size=(5, 40, 4))
    signals = replace(
        signals,
        is_candidate=is_candidate,
        shadow_own=np.tile(~is_candidate, (4, 1)),
        target_outputs=signals.target_outputs + noise[0],
        shadow_outputs=signals.shadow_outputs + noise[1:],
        oracle=oracle,
    )
    oracle.signals = signals

    def ask(model, x):
        plain = signals.shadow_outputs[model - 1] if model else signals.target_outputs
        known = [int(np.flatnonzero((PICTURES[:, :, ::-1] == one).all((1, 2, 3)))[0]) for one in x]
        assert model or max(known) < 20, "the target is asked about the candidates alone"
        return 2 * plain[known]

    oracle.ask = ask
    scores = run_attack(name, signals, replace(EVERY[name], queries=2), 0)
    doubled = replace(signals, target_outputs=2 * signals.target_outputs, shadow_outputs=2 * signals.shadow_outputs)
    plain, twice = (learnt_on(name, one) for one in (signals, doubled))
    threshold = scores.details["threshold"]
    assert min(np.abs((plain + twice) / 2 - threshold)) < 1e-9
    assert min(np.abs(plain - threshold)) > 1e-9


def learnt_on(name, signals):
    """Return the scores that the single-view attack learns its threshold from."""
    seen = []
    learn = per_record.learn_thresholds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(per_record, "learn_thresholds", lambda score, *more: (seen.append(score), learn(score, *more))[1])
        run_attack(name, signals, EVERY[name], 0)
    return seen[0]


def test_shadows_that_agree_on_every_view_are_reported():
    signals, _, _ = with_oracle(PICTURES)
    scores = run_attack("lira_offline", signals, replace(EVERY["lira_offline"], variance="per_record", queries=2), 0)
    assert any("records have shadows that all agree" in line for line in scores.warnings)


def test_views_of_what_cannot_be_asked():
    signals, _, _ = with_oracle(BITS)
    with pytest.raises(RequestError, match=r"attack.lira_online.queries=4 needs pictures"):
        run_attack("lira_online", signals, LiraOnlineOptions(queries=4), 0)
    with pytest.raises(RequestError, match="predictions from a file cannot answer"):
        run_attack("lira_online", replace(signals, oracle=None), LiraOnlineOptions(queries=4), 0)
    signals, _, _ = with_oracle(PICTURES)
    with pytest.raises(RequestError, match=r"attack.lira_online.shift=6 must be below the pictures' 6 pixels"):
        run_attack("lira_online", signals, LiraOnlineOptions(queries=4, shift=6), 0)


def test_growth_is_the_attack_with_fewer_shadows():
    signals, _ = random_signals(shadows=11)
    found = growth("lira_online", signals, EVERY["lira_online"], 0)
    assert list(found) == [2, 4, 8, 11]  # with one there is no variance
    few = replace(
        signals,
        shadow_outputs=signals.shadow_outputs[:4],
        shadow_membership=signals.shadow_membership[:4],
        shadow_own=signals.shadow_own[:4],
        population_outputs=signals.population_outputs[[0, 1, 2, 3, 11]],
    )
    for name in EVERY:
        grown = run_attack(name, first_shadows(signals, 4), EVERY[name], 0)
        alone = run_attack(name, few, EVERY[name], 0)
        np.testing.assert_array_equal(grown.score, alone.score)
        np.testing.assert_array_equal(grown.is_predicted, alone.is_predicted)
        if name == "lira_online":
            np.testing.assert_array_equal(found[4].score, alone.score)
    with pytest.raises(RequestError, match="12 shadows"):
        first_shadows(signals, 12)
