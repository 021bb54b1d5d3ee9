"""Hill climbing: the paper's algorithm, many records at once, against the algorithm written out for one."""

from dataclasses import replace

import numpy as np
import pytest

from mia.shadow_data.options import SynthesizedOptions
from mia.shadow_data.query import Target
from mia.shadow_data.quota import Quota
from mia.shadow_data.space import describe_features
from mia.shadow_data.synthesis import Climbs, synthesize

OPTIONS = SynthesizedOptions(k_max=6, k_min=2, rej_max=3, conf_min=0.5, iter_max=100, at_once=50)


@pytest.fixture
def space(bits):
    return describe_features(bits, np.zeros((0, 12), np.uint8))


def climb_slowly(wanted, space, options, target, generator):
    """Shokri et al. 2017, algorithm 1, line by line; returns the record, or None, and the queries."""
    x, best = space.draw_uniform_first(generator), None
    confidence, j, k = 0.0, 0, options.k_max
    for iteration in range(1, options.iter_max + 1):
        y = target(x[None])[0]
        luck = generator.random()
        if y[wanted] >= confidence:
            if y[wanted] > options.conf_min and wanted == np.argmax(y) and luck < y[wanted]:
                return x, iteration
            best, confidence, j = x, y[wanted], 0
        else:
            j += 1
            if j > options.rej_max:
                k, j = max(options.k_min, -(-k // 2)), 0
        x = space.redraw(best, k, generator)
    return None, options.iter_max


class OneAtATime:
    """The same draws in the same order as many at once make them, for a batch of one."""

    def __init__(self, space):
        self.space = space

    def draw_uniform_first(self, generator):
        return self.redraw(np.zeros(self.space.num_columns, self.space.dtype), self.space.num_columns, generator)

    def redraw(self, x, k, generator):
        keys = generator.random((1, self.space.num_columns), np.float32)[0]
        fresh = self.space.draw_uniform(1, generator)[0]
        x = x.copy()
        for column in np.argsort(keys)[:k]:
            x[column] = fresh[column]
        return x


@pytest.mark.parametrize("seed", range(30))
def test_one_climb_is_the_papers_algorithm(space, linear, seed):
    options = replace(OPTIONS, iter_max=20, attempts=1, conf_min=0.7)
    fast = linear(3, 4, steepness=0.8)
    wanted = Quota(3, 1, 1).take(1)[0]
    made = synthesize(space, 3, 1, options, fast.target(), np.random.default_rng(seed))
    x, queries = climb_slowly(wanted, OneAtATime(space), options, linear(3, 4, 0.8), np.random.default_rng(seed))
    np.testing.assert_array_equal(made.x, np.zeros((0, 12)) if x is None else x[None])
    assert fast.answered == queries
    assert made.y.tolist() == ([] if x is None else [wanted])


def test_many_climbs_at_once_ask_as_often_as_one_after_the_other(space, linear):
    target = linear(3, 4).target()
    options = replace(OPTIONS, conf_min=0.8, k_max=12)
    made = synthesize(space, 3, 600, options, target, np.random.default_rng(0))
    generator, slow = np.random.default_rng(1), linear(3, 4)
    counts = []
    for record in range(600):
        x, queries = climb_slowly(record % 3, OneAtATime(space), options, slow, generator)
        counts.append(queries)
        assert x is not None
    assert len(made.x) == 600
    error = np.std(counts) / np.sqrt(600) * np.sqrt(2)
    assert target.queries / 600 == pytest.approx(np.mean(counts), abs=4 * error)


def test_records_are_what_the_target_is_sure_of_and_balanced(space, linear):
    oracle = linear(3, 4)
    target = oracle.target()
    made = synthesize(space, 3, 100, OPTIONS, target, np.random.default_rng(0))
    answers = linear(3, 4)(made.x)
    assert sorted(np.bincount(made.y)) == [33, 33, 34]
    assert (answers.argmax(axis=1) == made.y).all()
    assert answers[np.arange(100), made.y].min() > OPTIONS.conf_min
    assert target.queries == oracle.answered


def test_confidence_never_falls_on_the_way(space, linear):
    target, generator = linear(3, 4), np.random.default_rng(0)
    climbs = Climbs.begin(np.arange(30) % 3, space, OPTIONS.k_max)
    before = np.zeros(30)
    for _ in range(40):
        proposals = climbs.propose(space, generator)
        climbs.judge(proposals, target(proposals), np.ones(30), OPTIONS)
        assert (climbs.confidence >= before).all()
        np.testing.assert_allclose(target(climbs.best)[np.arange(30), climbs.wanted], climbs.confidence, rtol=1e-6)
        before = climbs.confidence.copy()
    assert before.mean() > 0.9


def test_stuck_climbs_redraw_fewer_features_but_never_fewer_than_k_min(space):
    options = replace(OPTIONS, k_max=11, k_min=2, rej_max=3)
    climbs = Climbs.begin(np.array([0]), space, options.k_max)
    x, seen = np.zeros((1, 12), np.uint8), []
    climbs.judge(x, np.array([[0.9, 0.1]]), np.ones(1), options)  # accepted, not returned
    for _ in range(20):
        climbs.judge(x, np.array([[0.3, 0.7]]), np.zeros(1), options)
        seen.append(int(climbs.k[0]))
    assert seen == [11] * 3 + [6] * 4 + [3] * 4 + [2] * 9


def test_proposals_differ_from_the_best_record_in_at_most_k_features(space):
    climbs = Climbs.begin(np.zeros(500, int), space, 4)
    climbs.queries += 1
    changed = (climbs.propose(space, np.random.default_rng(0)) != climbs.best).sum(axis=1)
    assert changed.max() == 4
    assert changed.mean() == pytest.approx(2, abs=0.2)  # half of the re-drawn bits stay as they were


def test_the_place_of_an_unreachable_class_is_filled_by_the_others(space, linear):
    reachable = linear(3, 4)

    def blind(x):
        answers = reachable(x)
        answers[:, 1] = 0
        return answers

    target = Target(blind, (12,))
    options = replace(OPTIONS, iter_max=30, attempts=5)
    made = synthesize(space, 3, 60, options, target, np.random.default_rng(0))
    assert np.bincount(made.y, minlength=3).tolist() == [30, 0, 30]
    assert target.queries >= 20 * 30  # the twenty climbs for that class that were under way asked iter_max times each


def test_a_target_that_is_never_sure_ends_the_search(space):
    asked = []
    target = Target(lambda x: asked.append(len(x)) or np.full((len(x), 3), 1 / 3), (12,))
    options = replace(OPTIONS, iter_max=7, attempts=2, at_once=6)
    made = synthesize(space, 3, 12, options, target, np.random.default_rng(0))
    assert (len(made.x), len(made.y)) == (0, 0)
    assert target.queries == sum(asked) == 6 * 7  # two climbs for each class, then all are given up


def test_the_same_seed_gives_the_same_records_and_another_does_not(space, linear):
    def run(seed):
        return synthesize(space, 3, 50, OPTIONS, linear(3, 4).target(), np.random.default_rng(seed)).x

    np.testing.assert_array_equal(run(0), run(0))
    assert (run(0) != run(1)).any()


def test_mixed_features_are_climbed_as_wholes(mixed):
    x, features = mixed
    space = describe_features(features, x)

    def likes_large(rows):
        score = rows[:, 10] + 2 * rows[:, 17] + rows[:, :10].sum(axis=1) / 5
        p = 1 / (1 + np.exp(-(score - 2)))
        return np.stack([1 - p, p], axis=1)

    options = replace(OPTIONS, conf_min=0.7)
    made = synthesize(space, 2, 40, options, Target(likes_large, (20,)), np.random.default_rng(0))
    assert len(made.x) == 40
    assert (made.x[:, 12:15].sum(axis=1) == 1).all()
    assert (made.x[:, 15:20].sum(axis=1) == 1).all()
    assert ((x[:, 10].min() <= made.x[:, 10]) & (made.x[:, 10] <= x[:, 10].max())).all()
    assert np.isin(made.x[:, :10], (0, 1)).all()
