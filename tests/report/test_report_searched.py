"""What a search found, from the tables that the sweeper stores and the runs of a study."""

import csv
import dataclasses

import pytest
from report_fakes import fake_run, fetch_file

from mia.report.evidence import Evidence
from mia.report.figures import sweep_figures
from mia.report.searched import _places, read_searched, searched_tables
from mia.report.sweep import report_files
from mia.study.frame import read_study

FRONT = [
    {"defences": "l2", "train.l2": "0.003", "found target/test_accuracy": 0.8, "found attack/loss/auc": 0.6,
     "confirmed target/test_accuracy": 0.78, "confirmed attack/loss/auc": 0.63},
    {"defences": "none", "found target/test_accuracy": 0.9, "found attack/loss/auc": 0.7},
]  # fmt: skip


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    runs = [fake_run(folder, key="train.l2", strength=v, records=40) for v in (1e-4, 1e-3, 5e-3, 1e-2)]
    grid = [fake_run(folder, key="train.dropout", strength=v, records=40) for v in (0.1, 0.3, 0.5, 0.7)]
    sweep = dataclasses.replace(runs[0], id="a" * 32, name="search")
    path = folder / "front.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(FRONT[0]))
        writer.writeheader()
        writer.writerows(FRONT)

    def fetch(run, name):
        return (path if name == "front.csv" else None) if run.id == sweep.id else fetch_file(run, name)

    return {"search": (sweep, runs), "grid": (dataclasses.replace(sweep, id="b" * 32), grid)}, fetch


def test_the_front_is_shown_as_found_and_as_confirmed(sweeps):
    known, fetch = sweeps
    searched = read_searched(known, fetch)
    ((name, table),) = searched_tables(searched)
    assert name == "front"
    assert list(table.columns)[:2] == ["defences", "l2"]
    assert [cell.text for cell in table.columns["AUC, confirmed"]] == ["0.630", "-"]
    study = read_study([run for _, runs in known.values() for run in runs], fetch)
    evidence = Evidence(study, searched)
    figures = {one.name: one for one in sweep_figures(study, evidence)}
    assert {"fronts", "confirmed"} <= set(figures)
    assert evidence.confirmed[["point", "what", "u"]].to_numpy().tolist() == [
        [1, "found", 0.8], [1, "confirmed", 0.78], [2, "found", 0.9]
    ]  # fmt: skip
    assert evidence.sweeps["sweep"].value_counts().to_dict() == {"search": 4, "grid": 4}
    figures["fronts"].chart({"sweeps": evidence.sweeps, "settings": study.settings, "points": study.points}).to_dict()
    page = report_files(study, title="x", searched=searched)["report.html"].decode()
    assert "What the search found" in page


def test_one_sweep_without_a_search_says_nothing_of_one(sweeps):
    known, fetch = sweeps
    searched = read_searched({"grid": known["grid"]}, fetch)
    assert searched_tables(searched) == []
    assert not len(Evidence(read_study(known["grid"][1], fetch), searched).sweeps)


def test_wide_ranges_lie_by_their_logarithm_and_zero_a_step_below():
    assert _places({0: 0.0, 1: 1e-4, 2: 1e-3, 3: 1e-2}) == pytest.approx({0: 0.0, 1: 1 / 3, 2: 2 / 3, 3: 1.0})
    assert _places({0: "b", 1: "a", 2: None}) == {0: 1.0, 1: 0.0}
    assert _places({0: 5.0}) == {0: 0.5}
