import numpy as np
import pytest
from shadow_answers import overfitted
from sklearn.metrics import pairwise

from mia.attacks.shadow_classifier import ShadowSvmOptions, classifiers, search
from mia.attacks.shadow_classifier.classifiers import Pair
from mia.attacks.shadow_classifier.rows import Rows, RowSource, assign_folds
from mia.attacks.shadow_classifier.search import GRIDS, choose_pair, grid_pairs, plan_rungs, rank
from mia.attacks.shadow_classifier.workers import Workers

NUM_ROWS = 100


class Table:
    """Stands in for workers: answers with prescribed accuracies and notes what was asked."""

    def __init__(self, accuracy):
        self.accuracy, self.asked = accuracy, []

    def run(self, _function, jobs, _count):
        self.asked.append([])
        for _, pairs, features, is_member, is_held_out in jobs:
            assert len({pair.gamma for pair in pairs}) == 1
            assert len(features) == len(is_member) == len(is_held_out)
            number = int(np.flatnonzero(is_held_out)[0])  # row r is in fold r modulo 5
            self.asked[-1] += [(pair, len(is_member), number) for pair in pairs]
            yield [self.accuracy(pair.c, pair.gamma, number) for pair in pairs]


def choose(accuracy, is_halving=False, num_rows=NUM_ROWS, **changes):
    rows = Rows(np.zeros((num_rows, 2)), np.arange(num_rows) % 2 == 0, np.arange(num_rows) % 5, np.zeros(num_rows, int))
    table = Table(accuracy)
    options = ShadowSvmOptions(**changes)
    choice = choose_pair(rows, rows.shadow, options, is_halving=is_halving, workers=table, progress=lambda: None)
    return choice, table


def test_c_and_gamma_are_chosen_jointly():
    """Separate maxima: C by its best mean over gamma, gamma by its best mean over C, gives a pair that is no good."""
    every_c, every_gamma = GRIDS["study"]
    table = np.array([[0.70, 0.70, 0.76], [0.72, 0.72, 0.60], [0.50, 0.80, 0.50]])
    separate = (table.mean(axis=1).argmax(), table.mean(axis=0).argmax())
    assert table[separate] < table.max()
    choice, _ = choose(lambda c, gamma, _: table[every_c.index(c), every_gamma.index(gamma)])
    assert choice.pair == Pair(10.0, 0.01)
    assert choice.accuracy == 0.80


def test_the_mean_over_folds_decides_and_every_fold_is_asked():
    choice, table = choose(lambda c, _, number: (0.9 if number == 4 else 0.5) if c == 10 else 0.6)
    assert choice.pair.c < 10
    assert {number for _, _, number in table.asked[0]} == set(range(5))
    assert len(table.asked[0]) == 45


def test_ties_go_to_the_smaller_c_then_the_smaller_gamma():
    assert choose(lambda *_: 0.7)[0].pair == Pair(0.1, 0.001)
    pairs = [Pair(1, 0.1), Pair(1, 0.01), Pair(0.1, 0.1)]
    assert rank(pairs, [0.1 + 0.2, 0.3, 0.2]) == [1, 0, 2]


@pytest.mark.parametrize(("pair", "is_on_edge"), [((1, 0.01), False), ((10, 0.01), True), ((1, 0.001), True)])
def test_the_edge_is_seen(pair, is_on_edge):
    assert choose(lambda c, gamma, _: float((c, gamma) == pair))[0].is_on_edge is is_on_edge


def test_the_wide_grid_contains_the_study_and_surrounds_its_corner():
    assert set(grid_pairs(ShadowSvmOptions())) < set(grid_pairs(ShadowSvmOptions(grid="wide")))
    assert not choose(lambda c, gamma, _: float((c, gamma) == (10, 0.1)), grid="wide")[0].is_on_edge


def test_halving_gives_the_best_third_three_times_the_rows():
    assert plan_rungs(ShadowSvmOptions(), 30_000, is_halving=True) == [(9, 2000), (3, 6000)]
    assert plan_rungs(ShadowSvmOptions(), 5_000, is_halving=True) == [(9, 2000), (3, 5000)]
    assert plan_rungs(ShadowSvmOptions(), 1_000, is_halving=True) == [(9, 1000)]
    assert plan_rungs(ShadowSvmOptions(grid="wide"), 30_000, is_halving=True) == [(30, 2000), (10, 6000)]
    assert plan_rungs(ShadowSvmOptions(), 30_000, is_halving=False) == [(9, 30_000)]


def test_halving_keeps_the_penalty_in_proportion():
    choice, table = choose(lambda c, gamma, _: c * gamma, is_halving=True, num_rows=20_000)
    assert [len(round_) for round_ in table.asked] == [45, 15]
    assert sorted({pair.c for pair, _, _ in table.asked[0]}) == pytest.approx([1, 10, 100])
    assert {rows for _, rows, _ in table.asked[1]} == {6000}
    assert choice.pair == Pair(10.0, 0.1)


def test_halving_finds_what_the_full_search_finds(monkeypatch):
    monkeypatch.setattr(search, "FIRST_ROWS", 200)
    options, workers = ShadowSvmOptions(), Workers(0)
    for seed in range(2):
        signals, _ = overfitted(seed=seed, shadows=6, records=400, classes=2)
        rows = RowSource(signals, options, seed).gather(0, 5)
        fold = assign_folds(rows, 5)
        full, halving = (
            choose_pair(rows, fold, options, is_halving=one, workers=workers, progress=lambda: None)
            for one in (False, True)
        )
        (accuracy,) = search.measure(
            [halving.pair], rows, fold, len(rows), options, workers=workers, progress=lambda: None
        )
        assert full.num_rows == len(rows) == 1200
        assert halving.num_rows == 600
        assert accuracy >= full.accuracy - 0.005


def test_the_kernel_shared_by_all_c_gives_what_each_fit_alone_gives(monkeypatch):
    signals, _ = overfitted(records=300, shadows=4)
    rows = RowSource(signals, ShadowSvmOptions(), 0).gather(0, 4)
    is_held_out = rows.shadow == 0
    pairs = [Pair(c, 0.1) for c in (0.1, 1.0, 10.0)]
    given = (ShadowSvmOptions(), pairs, rows.features, rows.is_member, is_held_out)
    shared = classifiers.fold_accuracies(*given)
    monkeypatch.setattr(classifiers, "KERNEL_ROWS", 0)
    alone = classifiers.fold_accuracies(*given)
    assert shared == pytest.approx(alone, abs=0.007)  # one row of 150


def test_a_fold_without_rows_or_with_one_kind_of_rows():
    features, options = np.arange(12.0).reshape(6, 2), ShadowSvmOptions()
    nowhere, half = np.zeros(6, bool), np.arange(6) < 3
    assert np.isnan(classifiers.fold_accuracies(options, [Pair(1, 1)], features, half, nowhere)).all()
    assert classifiers.fold_accuracies(options, [Pair(1, 1)], features, half, half) == [0.0]


def test_the_kernel():
    generator = np.random.default_rng(0)
    x, y = generator.random((150, 4)), generator.random((7, 4))
    assert np.allclose(classifiers.rbf_kernel(x, y, 0.3), pairwise.rbf_kernel(x, y, 0.3), rtol=1e-12)
    assert (classifiers.rbf_kernel(x, x, 5.0).diagonal() <= 1).all()
