import dataclasses
import math

import numpy as np
import pytest
from report_fakes import failed, fake_run, fake_sweep, run_of

from mia.metrics.rates import clopper_pearson
from mia.report.axes import find_axes, latest_attempts
from mia.report.defence import defence_of
from mia.report.grouping import read_sweep


def test_axes_are_what_varies_but_for_the_seed_and_what_cannot_matter() -> None:
    runs = [
        run_of(
            seed=k,
            split__size=100 * (k + 1),
            tracking__experiment=f"x{k}",
            engine__models_per_batch=k,
            rerun=k > 0,
            data__name="d",
        )
        for k in range(3)
    ]
    assert find_axes(runs) == ["split.size"]


def test_options_of_one_defence_are_no_axis_unless_they_vary() -> None:
    none, topk = run_of(defence__name="none"), run_of(defence__name="top_k", defence__k=3)
    assert find_axes([none, topk]) == ["defence.name"]
    assert find_axes([none, topk, run_of(defence__name="top_k", defence__k=1)]) == ["defence.name", "defence.k"]


def test_an_option_that_is_given_or_not_is_an_axis_when_nothing_else_differs() -> None:
    assert find_axes([run_of(seed=0), run_of(seed=0, model__depth=3)]) == ["model.depth"]


def test_lists_of_attacks_do_not_split_settings() -> None:
    assert (
        find_axes([run_of(seed=0, attack__gap=True), run_of(seed=0, attack__gap=True, attack__loss__per_class=False)])
        == []
    )


def test_the_attacker_comes_last_and_the_size_early() -> None:
    runs = [run_of(attacker__adaptive=k, train__l2=k, split__size=k, model__name=k) for k in range(2)]
    assert find_axes(runs) == ["model.name", "split.size", "train.l2", "attacker.adaptive"]


def test_settings_have_mean_and_deviation_over_seeds() -> None:
    values = {(100, 0): 0.6, (100, 1): 0.8, (100, 2): 0.7, (200, 0): 0.5}
    runs = [run_of(f"{n}-{s}", seed=s, split__size=n, metrics={"attack/gap/auc": v}) for (n, s), v in values.items()]
    first, second = read_sweep(runs).settings
    estimate = first.estimate("attack/gap/auc")
    assert estimate.count == 3
    assert estimate.value == pytest.approx(0.7)
    assert estimate.deviation == pytest.approx(0.1)
    assert (estimate.low, estimate.high) == pytest.approx((0.6, 0.8))
    assert (second.size, second.estimate("attack/gap/auc").value) == (200, 0.5)
    assert math.isnan(second.estimate("attack/gap/auc").deviation)
    assert not second.estimate("absent").is_known


def test_a_single_run_brings_its_own_interval() -> None:
    metrics = {
        "attack/gap/auc": 0.7,
        "attack/gap/auc_low": 0.65,
        "attack/gap/auc_high": 0.74,
        "target/test_accuracy": 0.46,
    }
    (setting,) = read_sweep([run_of(split__size=2500, metrics=metrics)]).settings
    estimate = setting.estimate("attack/gap/auc")
    assert (estimate.low, estimate.high) == (0.65, 0.74)
    utility = setting.estimate("target/test_accuracy")
    assert (utility.low, utility.high) == clopper_pearson(1150, 2500)[1:]


def test_nan_metrics_count_as_absent() -> None:
    runs = [run_of(str(s), seed=s, metrics={"attack/gap/auc": v}) for s, v in enumerate((math.nan, 0.6))]
    estimate = read_sweep(runs).settings[0].estimate("attack/gap/auc")
    assert (estimate.value, estimate.count) == (0.6, 1)


def test_the_latest_attempt_counts() -> None:
    run = fake_run(None, records=20)
    again = dataclasses.replace(run, id="again", started=run.started + 1)
    assert latest_attempts([again, failed(run, "x")]) == [again]
    assert read_sweep([failed(dataclasses.replace(again, started=9e9), "x"), run]).runs == ()


def test_defences_are_named_with_their_strength() -> None:
    axes = ["train.l2", "defence.name", "defence.k", "split.size"]
    assert defence_of({"train.l2": "0.005", "defence.name": "none"}, axes).words == "L2 0.005"
    assert defence_of({"train.l2": "0.0"}, axes).words == "no defence"
    assert defence_of({"defence.name": "label_only"}, axes).words == "label only"
    assert defence_of({"train.l2": "0.005"}, ["split.size"]).words == "no defence"
    both = defence_of({"train.l2": "0.005", "defence.name": "top_k", "defence.k": "3"}, axes)
    assert both.words == "L2 + top-k 0.005, 3"


STOPPING = {"train.early_stopping.holdout": "0.1", "train.early_stopping.patience": "4"}
DP = {"train.dp.epsilon": "2.0", "train.dp.clipping_norm": "1.0"}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (STOPPING, "early stopping 4"),
        (STOPPING | {"train.early_stopping.holdout": "0.0"}, "no defence"),
        ({"train.early_stopping.holdout": "0.2"}, "early stopping 0.2"),
        (DP, "DP-SGD 2"),
        ({"train.dp.epsilon": "None", "train.dp.clipping_norm": "inf"}, "no defence"),
        ({"train.dp.noise_multiplier": "1.5", "train.dp.clipping_norm": "1.0"}, "DP-SGD 1.5"),
        ({"train.augmentation.flip": "0.5", "train.augmentation.shift": "2"}, "augmentation 2"),
        ({"train.adversarial.strength": "0.0", "train.adversarial.reference": "0.3"}, "no defence"),
        ({"train.distillation.reference": "0.5", "train.distillation.temperature": "8.0"}, "distillation 8"),
    ],
)
def test_a_defence_of_several_options_is_on_by_its_switch(params: dict[str, str], words: str) -> None:
    assert defence_of(params, list(params)).words == words


def test_smaller_patience_and_epsilon_are_stronger() -> None:
    for one in (STOPPING, DP):
        key = next(key for key in one if key.endswith(("patience", "epsilon")))
        weak, strong = (defence_of(one | {key: value}, list(one)) for value in ("16", "2"))
        assert weak.order < strong.order


def test_fewer_classes_shown_are_a_stronger_defence() -> None:
    few, many = (defence_of({"defence.name": "top_k", "defence.k": k}, ["defence.k"]) for k in ("1", "5"))
    assert many.order < few.order
    weak, strong = (defence_of({"train.l2": v}, ["train.l2"]) for v in ("0.001", "0.01"))
    assert weak.order < strong.order


def test_the_set_up_of_training_is_no_defence() -> None:
    (low, high) = read_sweep([run_of(str(e), train__epochs=e) for e in (10, 100)]).settings
    assert (low.defence.name, low.words, high.words) == ("", "epochs 10", "epochs 100")


def test_without_a_defence_both_attackers_are_one_setting() -> None:
    runs = [fake_run(None, adaptive=a, records=20) for a in (True, False)]
    runs += [fake_run(None, key="train.l2", strength=1e-2, adaptive=a, records=20) for a in (True, False)]
    assert [s.words for s in read_sweep(runs).settings] == ["no defence", "L2 0.01, adaptive", "L2 0.01, non-adaptive"]
    (setting,) = read_sweep(runs[:2]).settings
    assert (len(setting.runs), len(setting.repeats), len(read_sweep(runs).runs)) == (1, 1, 4)
    (setting,) = read_sweep([runs[0], failed(runs[1], "out of memory")]).settings
    assert (setting.runs, len(setting.unfinished)) == ((runs[0],), 1)


def test_a_defence_that_all_share_keeps_the_attackers_apart() -> None:
    metrics = ({"attack/gap/auc": 0.7}, {"attack/gap/auc": 0.6})
    runs = [
        run_of(f"{a}", attacker__adaptive=a, train__l2=0.1, metrics=m)
        for a, m in zip((True, False), metrics, strict=True)
    ]
    assert [(s.words, s.is_adaptive) for s in read_sweep(runs).settings] == [
        ("adaptive", True),
        ("non-adaptive", False),
    ]


def test_what_always_changes_together_is_named_once() -> None:
    """A table of data sets changes the model and the epochs with the data; the data set's name says it all."""
    joint = [
        run_of(n, data__name=n, train__epochs=e, split__size=z) for n, e, z in (("adult", 100, 10), ("mnist", 50, 20))
    ]
    assert [s.words for s in read_sweep(joint).settings] == ["data adult, n = 10", "data mnist, n = 20"]
    grid = [run_of(f"{n}{e}", data__name=n, train__epochs=e) for n in ("a", "b") for e in (1, 2)]
    assert [s.words for s in read_sweep(grid).settings][:2] == ["data a, epochs 1", "data a, epochs 2"]


def test_settings_that_differ_in_more_than_the_defence_share_no_place() -> None:
    runs = [run_of("plain", split__num_shadows=10, train__l2=0), run_of("strong", split__num_shadows=2, train__l2=0.1)]
    assert len({s.place for s in read_sweep(runs).settings}) == 2


def test_order_is_size_then_defence_then_strength_then_attacker() -> None:
    sweep = read_sweep(fake_sweep(None, keys=("train.l2",), seeds=(0,), records=20))
    words = [setting.words for setting in sweep.settings]
    assert words[:4] == [
        "n = 2,500, no defence",
        "n = 2,500, L2 0.0001, adaptive",
        "n = 2,500, L2 0.0001, non-adaptive",
        "n = 2,500, L2 0.001, adaptive",
    ]
    sizes = [setting.size for setting in sweep.settings]
    assert sizes == sorted(sizes)


def test_the_foremost_attack_has_the_highest_auc() -> None:
    sweep = read_sweep([fake_run(None, records=300, seed=s) for s in range(2)])
    areas = [np.mean([run.metrics[f"attack/{name}/auc"] for run in sweep.runs]) for name in sweep.attacks]
    assert areas == sorted(areas, reverse=True)
