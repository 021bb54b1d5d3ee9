"""A search finds most of the front with a third of the grid; and Hydra's ranges mean what they say."""

import csv
import statistics
import warnings
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from mia.checks import RequestError
from mia.sweep_options import OptunaOptions
from mia.sweeper.front import Confirmed, front_rows, front_words
from mia.sweeper.objectives import SAMPLERS, Objectives, is_metric, read_floor, read_objectives
from mia.sweeper.space import Interval, Names, Ordered, read_space
from mia.sweeper.study import Point, Study

SOUGHT = Objectives(("accuracy",), ("leakage",))
with Path(__file__).with_name("digits_grid.csv").open(newline="") as lines:  # trained by tests/bench/search.py
    KEYS, *ROWS = csv.reader(lines)
GRID = {tuple(row[:3]): (float(row[3]), float(row[4])) for row in ROWS}  # by L2, dropout and size
TRIALS, SEEDS = 30, range(10)


def space_of(*overrides):
    return read_space(OverridesParser.create().parse_overrides(list(overrides)))


def grid_space():
    return space_of(*(f"{key}={','.join(dict.fromkeys(row[k] for row in ROWS))}" for k, key in enumerate(KEYS[:3])))


def found(space, trial):
    return GRID[tuple(space.spelt(trial.choices)[key] for key in KEYS[:3])]


def hypervolume(points, reference):
    """The area between a front and the worst of everything: utility rises, leakage falls."""
    area, lowest = 0.0, reference[1]
    for accuracy, leakage in sorted(points, reverse=True):
        if leakage < lowest and accuracy > reference[0]:
            area += (accuracy - reference[0]) * (lowest - leakage)
            lowest = leakage
    return area


def test_the_hypervolume_is_the_area():
    assert hypervolume([(2, 1), (1, 0.5), (0.5, 0.9)], (0, 2)) == pytest.approx(2 * 1 + 1 * 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_thirty_trials_find_the_front_of_a_hundred_trainings(sampler):
    space, grid = grid_space(), list(GRID.values())
    assert len(grid) == 100
    reference = min(one[0] for one in grid), max(one[1] for one in grid)
    shares = []
    for seed in SEEDS:
        study = Study.open(None, space, SOUGHT, sampler, seed)
        tried = []
        while study.count() < TRIALS:
            trial = study.ask()
            tried.append(tuple(space.overrides(trial.choices)))
            study.tell(trial, found(space, trial))
        assert len(set(tried)) == TRIALS  # none twice
        shares.append(hypervolume([one.values for one in study.front()], reference) / hypervolume(grid, reference))
    assert statistics.median(shares) >= 0.95


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_choosing_beats_drawing_blindly_in_the_median(sampler):
    """In a wide space, in which few points are near the front."""
    space = space_of(*(f"train.k{k}=interval(0,1)" for k in range(5)))

    def front_area(values):
        return hypervolume(values, (-5.0, 5.0))

    def outcome_of(choices):
        x = np.array([choices[f"train.k{k}"] for k in range(5)])
        far = 4 * float((x[1:] ** 2).sum())
        return [float(x[0]) - far, float(x[0]) ** 2 + far]

    def area(sampler, seed):
        study, values = Study.open(None, space, SOUGHT, sampler, seed), []
        for _ in range(60):
            trial = study.ask()
            values.append(outcome_of(trial.choices))
            study.tell(trial, values[-1])
        return front_area(values)

    chosen, blind = (statistics.median(area(one, seed) for seed in range(5)) for one in (sampler, "qmc"))
    assert chosen > blind


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [1, 7, 12])
def test_a_study_that_was_killed_ends_as_if_it_had_not_been(tmp_path, sampler, killed_at):
    space = grid_space()

    def run(path, kills):
        tried, kills = [], set(kills)
        while True:
            study = Study.open(path, space, SOUGHT, sampler, seed=3)
            while True:
                pending = study.pending()
                assert len(pending) <= 1
                if not pending and study.count() >= 15:
                    front = study.front()
                    study.close()
                    return tried, front
                trial = (pending or [study.ask()])[0]
                if len(tried) in kills:  # begun and never told
                    kills.remove(len(tried))
                    break
                tried.append(tuple(space.overrides(trial.choices)))
                study.tell(trial, found(space, trial))
            study.close()

    whole, cut = run(tmp_path / "whole.db", []), run(tmp_path / "cut.db", [killed_at])
    assert len(cut[0]) == len(set(cut[0])) == 15
    assert cut == whole


@pytest.mark.parametrize("half", [{}, {"train.l2": 1}, "the same again"])
def test_what_was_half_chosen_when_the_process_was_killed_counts_as_no_trial(tmp_path, half):
    space = grid_space()
    study = Study.open(tmp_path / "study.db", space, SOUGHT, "tpe", 0)
    first = study.ask()
    study.tell(first, [0.5, 0.5])
    chosen = first.choices if half == "the same again" else half
    begun = study._study.ask()
    for key, place in chosen.items():
        assert begun.suggest_int(key, place, place) == place
    study.close()  # as a killed process leaves it
    study = Study.open(tmp_path / "study.db", space, SOUGHT, "tpe", 0)
    assert study.pending() == []
    assert study.count() == 1
    assert study.ask().choices != first.choices
    study.close()


def test_when_everything_is_tried_there_is_nothing_more():
    space = space_of("train.dropout=0,0.5", "data=digits,mnist")
    study = Study.open(None, space, SOUGHT, "tpe", 0)
    tried = []
    while trial := study.ask():
        tried.append(tuple(space.overrides(trial.choices)))
        study.tell(trial, [0.5, len(tried)])
    assert len(tried) == len(set(tried)) == study.count() == 4


def test_earlier_runs_are_told_and_count_as_no_trials():
    space = grid_space()
    study = Study.open(None, space, SOUGHT, "tpe", 0)
    (known,) = space.candidates({"train.l2": "0.01", "train.dropout": "0.4", "split.size": "240"})
    assert study.add_earlier(known, [2.0, 0.1])
    assert not study.add_earlier(known, [2.0, 0.1])
    assert study.count() == 0
    assert [one.values for one in study.front()] == [(2.0, 0.1)]
    tried = set()
    while (trial := study.ask()) and study.count() < 60:
        tried.add(tuple(space.overrides(trial.choices)))
        study.tell(trial, None)
    assert tuple(space.overrides(known)) not in tried


def test_pruned_and_failed_trials_count_and_are_on_no_front():
    study = Study.open(None, grid_space(), SOUGHT, "tpe", 0)
    study.tell(study.ask(), None)
    study.tell(study.ask(), None, is_pruned=True)
    study.tell(study.ask(), [0.5, 0.5])
    assert study.count() == 3
    assert len(study.front()) == 1


def test_ranges_are_read_as_hydra_means_them():
    space = space_of(
        "split.size=100", "a.a=interval(0,2)", "a.b=tag(log,interval(1e-5,1e-1))", "a.c=int(interval(1,8))",
        "a.d=range(2,6)", "a.e=choice(3,1,2)", "a.f=x,y", "+frontier=none,l2", "a.g=range(0,1,0.25)",
        "a.h=tag(log,range(1e-5,1e-1,5))",
    )  # fmt: skip
    assert space.fixed == ("split.size=100",)
    assert space.axes == {
        "a.a": Interval(0.0, 2.0), "a.b": Interval(1e-5, 1e-1, is_log=True), "a.c": Interval(1, 8, is_integer=True),
        "a.d": Interval(2, 5, is_integer=True), "a.e": Ordered(("1", "2", "3")), "a.f": Names(("x", "y")),
        "+frontier": Names(("none", "l2")), "a.g": Ordered(("0.0", "0.25", "0.5", "0.75")),
        "a.h": Ordered(("1e-05", "0.0001", "0.001", "0.01", "0.1")),
    }  # fmt: skip


def test_values_are_short_and_within_their_ends():
    axis = Interval(0.123456, 2 / 3)
    assert axis.spell(0.2000049) == "0.2"
    assert float(axis.spell(0.123456)) >= axis.low
    assert float(axis.spell(2 / 3)) <= axis.high


@pytest.mark.parametrize(
    ("override", "said"),
    [("a.b=1", "something to vary"), ("a.b=interval(2,1)", "must rise"),
     ("a.b=tag(log,interval(0,1))", "from a number above 0"), ("a.b=range(3,3)", "lists nothing"),
     ("a.b=tag(log,range(1,101))", "gives five")],
)  # fmt: skip
def test_empty_ranges_are_refused(override, said):
    with pytest.raises(RequestError, match=said):
        space_of(override)


@pytest.mark.parametrize(
    "options",
    [{}, {"maximize": ["a"], "minimize": ["a"]}, {"minimize": ["a"], "n_trials": 0},
     {"minimize": ["a"], "sampler": "anneal"}, {"minimize": ["a"], "confirm": -1}],
)  # fmt: skip
def test_impossible_searches_are_refused(options):
    with pytest.raises(RequestError):
        read_objectives(OptunaOptions(**options))


@pytest.mark.parametrize("floor", ["0.4", "target/test_accuracy", "attack/loss/auc=0.4", "target/test_accuracy=45"])
def test_a_floor_is_one_of_the_target_alone(floor):
    with pytest.raises(RequestError, match="must be METRIC=VALUE"):
        read_floor(OptunaOptions(floor=floor))
    assert read_floor(OptunaOptions(floor="target/test_accuracy=0.45")) == ("target/test_accuracy", 0.45)


def test_a_front_says_what_was_found_and_what_is_confirmed():
    space = space_of("train.dropout=0,0.5")
    point = Point({"train.dropout": 1}, (0.8, 0.6))
    (row,) = front_rows([Confirmed(point, ((0.7, 0.62), (0.6, 0.66)))], SOUGHT.metrics, space)
    assert row["train.dropout"] == "0.5"
    assert row["found accuracy"] == 0.8
    assert row["confirmed accuracy"] == pytest.approx(0.65)
    assert row["sd leakage"] == pytest.approx(np.std([0.62, 0.66], ddof=1))
    assert "hydra.sweeper.confirm" in front_words([row], 0, has_epsilon=False)[-1]
    assert "privacy/epsilon" in front_words([row], 2, has_epsilon=True)[-1]


def test_no_remarks_of_the_package_reach_people():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study = Study.open(None, grid_space(), SOUGHT, "qmc", 0)
        study.tell(study.ask(), [0.1, 0.2])


def defences_space():
    parser = OverridesParser.create()
    known = {"none": [], "l2": ["train.l2=tag(log,interval(1e-4,1e-1))"],
             "top_k": ["defence=top_k", "defence.k=range(1,4)"]}  # fmt: skip
    variants = {"defences": {name: parser.parse_overrides(found) for name, found in known.items()}}
    return read_space(parser.parse_overrides(["+defences=none,l2,top_k", "split.size=9"]), variants)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_strength_is_chosen_only_where_its_defence_is(sampler):
    space, seen = defences_space(), set()
    study = Study.open(None, space, SOUGHT, sampler, 0)
    while (trial := study.ask()) and len(seen) < 12:
        keys = dict(one.split("=", 1) for one in space.overrides(trial.choices))
        assert set(keys) == {"split.size", "+defences"} | {
            "none": set(), "l2": {"train.l2"}, "top_k": {"defence.k"}
        }[keys["+defences"]]  # fmt: skip
        assert 1e-4 <= float(keys.get("train.l2", 1e-3)) <= 0.1
        assert keys.get("defence.k", "1") in ("1", "2", "3")
        assert tuple(keys.items()) not in seen
        seen.add(tuple(keys.items()))
        study.tell(trial, [0.5, float(keys.get("train.l2", 0.5))])
    assert {dict(one)["+defences"] for one in seen} == {"none", "l2", "top_k"}


def test_a_run_may_have_been_any_variant_that_it_does_not_contradict():
    space = defences_space()
    params = {"split.size": "9", "train.l2": "0.001", "defence.name": "none", "engine.devices": "1"}
    assert space.candidates(params) == [{"+defences": "none"}, {"+defences": "l2", "l2: train.l2": 0.001}]
    top_k = {**params, "train.l2": "0.0", "defence.name": "top_k", "defence.k": "2"}
    assert space.candidates(top_k) == [{"+defences": "none"}, {"+defences": "top_k", "top_k: defence.k": 2}]
    assert space.candidates({**params, "split.size": "10"}) == []  # what all trials share is another


def test_an_option_that_changes_no_number_hides_no_run():
    space = space_of("train.dropout=0,0.5", "stop_after_failures=2", "engine.precision=high", "data.path=a.zip")
    params = {"train.dropout": "0.5", "stop_after_failures": "0", "engine.precision": "low", "data.path": "b.zip"}
    assert space.candidates(params) == [{"train.dropout": 1}]


def test_a_key_that_is_typed_does_not_vary_in_a_variant():
    parser = OverridesParser.create()
    variants = {"defences": {"l2": parser.parse_overrides(["train.l2=interval(0,1)"])}}
    assert not read_space(parser.parse_overrides(["+defences=l2,none", "train.l2=0.5"]), variants).branches


def test_the_key_that_matters_is_told():
    space = space_of("train.l2=interval(0,1)", "train.dropout=interval(0,1)")
    study = Study.open(None, space, Objectives(("accuracy",), ("leakage",)), "qmc", 0)
    for _ in range(30):
        trial = study.ask()
        study.tell(trial, [trial.choices["train.l2"], trial.choices["train.dropout"]])
    shares = {row["key"]: row for row in study.importance(["accuracy", "leakage"])}
    assert shares["train.l2"]["accuracy"] > 0.8
    assert shares["train.dropout"]["leakage"] > 0.8


def test_a_key_of_a_variant_is_judged_among_the_trials_of_its_variant():
    parser = OverridesParser.create()
    known = {"none": [], "l2": ["train.l2=interval(0,1)", "train.weight_decay=interval(0,1)"],
             "top_k": ["defence.k=range(1,9)"]}  # fmt: skip
    variants = {"defences": {name: parser.parse_overrides(found) for name, found in known.items()}}
    space = read_space(parser.parse_overrides(["+defences=none,l2,top_k"]), variants)
    study = Study.open(None, space, SOUGHT, "qmc", 0)
    assert study.importance(SOUGHT.metrics) == []  # nothing has been tried
    for k in range(24):
        strengths = {"l2: train.l2": k / 24, "l2: train.weight_decay": (7 * k % 24) / 24}
        study.add_earlier({"+defences": "l2", **strengths}, [k / 24, 0.5 - (7 * k % 24) / 48])
    for k in range(1, 4):
        study.add_earlier({"+defences": "top_k", "top_k: defence.k": k}, [0.1, 0.2])
    rows = {row["key"]: row for row in study.importance(SOUGHT.metrics)}
    assert rows["l2: train.l2"]["accuracy"] > 0.8
    assert rows["l2: train.weight_decay"]["leakage"] > 0.8
    assert rows["l2: train.l2"]["trials"] == "24"
    assert "accuracy" not in rows["top_k: defence.k"]
    assert rows["top_k: defence.k"]["why"] == "of 10 trials that it takes"
    assert rows["defences"]["why"] == "the only key of all trials"


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        ("target/test_accuracy", True),
        ("privacy/epsilon", True),
        ("attack/loss/auc", True),
        ("attack/loss/auc_high", True),
        ("attack/loss/hindsight_balanced_accuracy", True),
        ("time/train_seconds", True),
        ("target/test_acuracy", False),
        ("attack/loss/auk", False),
        ("attack/loss/target/test_accuracy", False),
        ("auc", False),
        ("nosuch", False),
    ],
)
def test_metrics_that_no_run_has_are_told(name, is_known):
    assert is_metric(name) is is_known
