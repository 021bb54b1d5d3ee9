"""Sweeps over defences, end to end: variants beside a grid, both attackers, what DP-SGD costs, the report."""

import csv
import html
import re
import shlex
from collections import Counter

import pytest

from mia.composition import HOME, compose_config, open_hydra, read_request
from mia.sweep_files import header, sweep_paths
from mia.sweeper.check import Composer
from mia.tracking import Tracker, TrackingOptions
from mia.train.options import TrainOptions

TINY = ("split.size=40", "split.num_shadows=2", "train.epochs=3", "model.hidden=[16]", "attack=[gap,loss]")


def tracker(home):
    return Tracker.open(TrackingOptions(), home)


def defences_of(listed, sweep):
    """Return what each variant of a sweep does, compared with a training that has no defence."""
    plain, found, composer = TrainOptions(), [], Composer(open_hydra().config_loader)
    one_of_each = ["split.size=50", "attacker.adaptive=true", "data=digits", "split.mislabel=false", "seed=0"]
    for job in listed([f"+sweeps={sweep}", *one_of_each]):
        one = composer.config(job)
        train = one.train.effective()
        set_up = ("epochs", "batch_size")
        on = {name: value for name, value in vars(train).items() if value != getattr(plain, name)}
        found.append(({k: v for k, v in on.items() if k not in set_up}, one.defence))
    return found


@pytest.mark.parametrize("sweep", ["frontier", "mitigation", "dp"])
def test_every_variant_is_another_defence_and_one_is_none(listed, sweep):
    found = defences_of(listed, sweep)
    assert len({repr(one) for one in found}) == len(found)
    assert sum(not training and output.name == "none" for training, output in found) == 1
    if sweep == "frontier":
        strengths = Counter((*training, output.name) for training, output in found)
        assert sum(count >= 4 for count in strengths.values()) >= 6


def test_the_frontier_is_drawn_for_two_sizes_and_both_attackers(listed):
    jobs = listed(["+sweeps=frontier"])
    kinds = Counter(tuple(sorted(job)) for job in jobs)
    assert set(kinds.values()) == {1}
    for key, values in {"split.size": {"2500", "5000"}, "attacker.adaptive": {"True", "False"}}.items():
        assert {one.partition("=")[2] for job in jobs for one in job if one.startswith(key)} == values


def test_variants_are_spelt_out_so_that_a_row_can_be_repeated_without_the_sweep():
    def spelt(*overrides):
        return read_request(overrides).spelt_out()

    wanted = ["split.size=100", "defence=top_k", "defence.k=3", "train.l2=1"]
    assert spelt("split.size=100", "+frontier=top_k_3", "train.l2=1") == wanted
    assert spelt("+frontier=top_k_3", "defence.k=2") == ["defence=top_k", "defence.k=2"]  # what is typed wins
    assert spelt("+paper=adult", "train=default") == ["+paper=adult", "train=default"]


def test_a_variant_can_be_chosen_for_a_single_run():
    config = compose_config(["+frontier=early_stopping_0.2", "train.l2=0.5"])
    assert (config.train.early_stopping.holdout, config.train.l2, config.defence.name) == (0.2, 0.5, "none")
    assert compose_config(["+mitigation=top_k_1"]).defence.k == 1


@pytest.mark.slow
def test_a_sweep_over_defences_leaves_rows_that_can_be_repeated_and_a_report(mia, empty_home):
    request = ["+sweeps=frontier", "data=digits", "model=mlp", "split.size=40", *TINY[1:]]
    chosen = "+frontier=none,early_stopping_0.2,temperature_5"
    code, _, err = mia(empty_home, "-m", *request, chosen)
    assert code == 0, err
    store = tracker(empty_home)
    (sweep,) = store.runs(kind="sweep")
    children = store.children(sweep.id)
    assert len(children) == 5  # without a defence, what the attacker knows changes nothing
    assert all(run.status == "FINISHED" for run in children)
    models = {(run.params["attacker.adaptive"], run.tags["mia.command"].count("early")): run for run in children}
    assert models["False", 1].metrics["pool/models_trained"] == 0  # the target and the undefended shadows were there
    command = models["True", 1].tags["mia.command"]
    assert "train.early_stopping.holdout=0.2" in command
    with store.artifact(sweep.id, "summary.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 5
    page = store.artifact(sweep.id, "report.html").read_text()
    assert "early stopping" in page
    assert "temperature" in page
    assert f"mia -m {shlex.join([*request, chosen])}" in html.unescape(page)
    again, _, err = mia(empty_home, *shlex.split(command)[1:])
    assert again == 0
    assert "finished before as run" in err


@pytest.mark.slow
def test_dp_sgd_logs_what_it_costs_and_that_selection_is_not_in_it(mia, empty_home):
    private = ("train.dp.epsilon=3", "train.dp.clipping_norm=1", "train.dp.delta=1e-3")
    code, out, err = mia(empty_home, *TINY, *private)
    assert code == 0, err
    (run,) = tracker(empty_home).runs(kind="run")
    assert 2.9 < run.metrics["privacy/epsilon"] <= 3
    assert run.metrics["privacy/delta"] == 1e-3
    assert run.metrics["privacy/noise_multiplier"] > 0.5
    assert "privacy/epsilon_lower_bound" not in run.metrics  # no independent coins drew the members
    assert "choosing the best of several runs costs more" in " ".join(out.split())
    guarantee = re.search(r"Privacy: epsilon (\S+) at delta 0\.001 \(DP-SGD, noise multiplier (\S+)\)", out)
    assert float(guarantee[1]) == pytest.approx(run.metrics["privacy/epsilon"], rel=0.01)
    assert float(guarantee[2]) == pytest.approx(run.metrics["privacy/noise_multiplier"], rel=0.001)
    code, _, err = mia(empty_home, *TINY, "train.dp.clipping_norm=1")
    assert code == 0, err
    assert not any(name == "privacy/epsilon" for name in tracker(empty_home).runs(kind="run", limit=1)[0].metrics)


def test_the_headers_of_all_sweeps_say_question_figure_and_cost():
    for name, file in sweep_paths(HOME).items():
        assert [line.partition(":")[0] for line in header(file.read_text()).splitlines()] == [
            "Question",
            "Look at",
            "Cost",
        ], name
