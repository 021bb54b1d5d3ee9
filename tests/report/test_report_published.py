"""Published figures: which rows they stand beside, and that nothing stands where nothing is published."""

import pytest
from report_fakes import fetch_file, run_of

from mia.report.published import FIGURES, published_figures, published_for
from mia.report.sweep import report_files
from mia.report.tables import published_table, run_rows, summary_markdown, summary_rows
from mia.study.frame import read_study
from mia.tables import csv_text

METRICS = {
    "target/train_accuracy": 1.0, "target/test_accuracy": 0.5, "attack/shadow_mlp/precision": 0.75,
    "attack/shadow_mlp/precision_low": 0.7, "attack/shadow_mlp/precision_high": 0.8, "attack/shadow_mlp/recall": 1.0,
    "attack/shadow_mlp/auc": 0.9,
}  # fmt: skip


def locations(name="r", **params):
    given = {"data__name": "locations", "split__size": 1200, "split__num_shadows": 20}
    return run_of(name, metrics=METRICS, **given | params)


def precisions(*runs):
    return [{one["key"]: one["precision"] for one in published_for(row)} for row in read_study(runs, fetch_file).rows]


def test_sizes_of_the_papers_have_their_figures():
    runs = [run_of(str(n), data__name="cifar10", split__size=n) for n in (2500, 5000, 10000, 15000)]
    assert [one["shokri2017"] for one in precisions(*runs)] == [".78", ".74", ".72", ".71"]
    assert [one["pg1647"] for one in precisions(*runs)] == [".785", ".728", ".721", ".709"]


def test_classes_and_shadow_data_tell_figures_apart():
    purchase = [run_of(str(c), data__name="purchase", data__classes=c, split__size=10000) for c in (2, 100)]
    assert [one["shokri2017"] for one in precisions(*purchase)] == [".505", ".935"]
    noisy = [locations(str(v), shadow_data__name="noisy", shadow_data__noise=v) for v in (0.0, 0.1, 0.2)]
    assert [one["shokri2017"] for one in precisions(*noisy)] == [".678", ".666", ".613"]


@pytest.mark.parametrize(
    "params",
    [{"split__size": 1000}, {"split__protocol": "pool"}, {"train__l2": 1e-3}, {"defence__name": "label_only"},
     {"data__name": "digits"}, {"shadow_data__name": "synthesized"}],
)  # fmt: skip
def test_another_experiment_has_no_figure(params):
    assert precisions(locations(**params)) == [{}]


def test_a_neutral_defence_is_none():
    assert precisions(locations(defence__name="top_k", defence__k=0)) == [{"shokri2017": ".678"}]


def test_they_stand_in_tables_files_and_on_the_page():
    study = read_study([locations(), locations("l2", train__l2=1e-3)], fetch_file)
    table = published_table(study)
    assert table is not None
    assert [cell.text for cell in table.columns["precision, published"]] == ["0.678"]
    assert [cell.text for cell in table.columns["precision, here"]] == ["0.750"]
    assert [cell.text for cell in table.columns["shadows, here"]] == ["20"]
    assert "Beside published figures" in summary_markdown(study)
    assert [line.get("published/shokri2017/precision") for line in summary_rows(study)] == [0.678, None]
    assert "published/shokri2017/precision" in csv_text(run_rows(study))
    assert b"Beside published figures" in report_files(study, title="x")["report.html"]


def test_nothing_is_said_where_nothing_is_published():
    study = read_study([run_of(metrics=METRICS)], fetch_file)
    assert published_table(study) is None
    assert "published" not in summary_markdown(study)


def test_every_figure_is_a_number_as_printed():
    assert len(published_figures()) > 20
    for one in published_figures():
        printed = [one[name] for name in FIGURES if one[name]]
        assert printed
        assert all(float(text) >= 0 for text in printed)
