"""Published figures: which runs they stand beside, and that nothing stands where nothing is published."""

import csv
import io

import pytest
from mia.sweep import plan_sweep
from report_fakes import run_of

from mia.compose import compose_config, register
from mia.config import flat
from mia.report.grouping import read_sweep
from mia.report.page import write_report
from mia.report.published import published_figures, published_for, published_table
from mia.report.summary import summary_csv, summary_markdown, summary_rows

METRICS = {
    "target/train_accuracy": 1.0, "target/test_accuracy": 0.5, "attack/shadow_mlp/precision": 0.75,
    "attack/shadow_mlp/precision_low": 0.7, "attack/shadow_mlp/precision_high": 0.8, "attack/shadow_mlp/recall": 1.0,
    "attack/shadow_mlp/auc": 0.9,
}  # fmt: skip


def locations(name="r", **params):
    given = {"data__name": "locations", "split__size": 1200, "split__num_shadows": 20, "shadow_data__name": "real"}
    return run_of(name, metrics=METRICS, **given | params)


def precisions(run):
    return {one.key: one.figures.get("precision") for one in published_for(run)}


def swept(*overrides):
    """Return the published precisions of every configuration of a sweep, as its runs would be stored."""
    register()
    jobs = [flat(compose_config(job)) for job in plan_sweep(list(overrides)).jobs]
    return [precisions(run_of(**{key.replace(".", "__"): value for key, value in job.items()})) for job in jobs]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["+sweeps=datasets"], [".503", ".517", ".678", ".935", ".657"]),
        (["+sweeps=classes"], [".505", ".550", ".590", ".860", ".935"]),
        (["+sweeps=noise"], [".678", ".666", ".613"]),
        (["+sweeps=shadow_data"], [".678", ".666", None, None]),
        (["+sweeps=shadow_data", "paper=purchase"], [".935", None, ".795", ".896"]),
        (["+sweeps=num_shadows"], [".678"] * 6),
        (["+sweeps=data_size"], [".78", ".74", ".72", ".71"]),
        (["+sweeps=data_size", "data=cifar100", "split.size=4600,10520,19920,29540"], ["1", "1", ".98", ".97"]),
        (["+sweeps=digits"], [None] * 18),
    ],
)
def test_every_configuration_of_the_papers_sweeps_has_its_figure(overrides, expected):
    assert [found.get("shokri2017") for found in swept(*overrides)] == expected


def test_the_sizes_of_the_study_have_its_figures_too():
    assert [found["pg1647"] for found in swept("+sweeps=data_size")] == [".785", ".728", ".721", ".709"]


@pytest.mark.parametrize(
    "other",
    [
        {"data__name": "mnist"},
        {"split__size": 1000},
        {"split__protocol": "pool"},
        {"shadow_data__name": "marginal"},
        {"shadow_data__name": "noisy", "shadow_data__noise": 0.15},
        {"train__l2": 0.001},
        {"train__dropout": 0.5},
        {"train__early_stopping__holdout": 0.1},
        {"train__dp__noise_multiplier": 0.8},
        {"train__dp__clipping_norm": 1.0},
        {"defence__name": "top_k", "defence__k": 3},
    ],
)
def test_nothing_stands_where_nothing_is_published(other):
    assert precisions(locations()) == {"shokri2017": ".678"}
    run = locations(**other)
    assert published_for(run) == []
    assert published_table(read_sweep([run])) is None
    assert "published" not in summary_markdown([run]) + summary_csv([run])


def test_no_two_figures_of_a_source_are_of_the_same_experiment():
    found = [(one.key, one.place) for one in published_figures()]
    assert len(found) == len(set(found))


def test_the_summary_shows_theirs_and_ours(tmp_path):
    runs = [
        locations("a"),
        locations("b", shadow_data__name="noisy", shadow_data__noise="0.1"),
        locations("c", shadow_data__name="marginal"),
    ]
    text = summary_markdown(runs)
    assert "| Shokri et al. 2017 | 60 | 20 | 1.000 | 1.000 (0.997-1.000) | 0.673 | 0.500 (0.471-0.529) |" in text
    assert "| 0.678 | 0.750 (0.700-0.800) | shadow\\_mlp |" in text
    assert "| marginal | - | Shokri" not in text
    rows = list(csv.DictReader(io.StringIO(summary_csv(runs))))
    assert [row["published/shokri2017/precision"] for row in rows] == ["0.678", "0.666", ""]
    assert [row.get("published/shokri2017/precision") for row in summary_rows(runs)] == [None, 0.666, 0.678]
    page = write_report(runs, tmp_path, title="shadow_data").read_text()
    assert "Beside published figures" in page


def test_what_a_source_does_not_say_and_what_did_not_run_is_a_dash():
    run = run_of(data__name="cifar10", split__size=2500, metrics={"target/train_accuracy": 1.0, "attack/gap/auc": 0.7})
    table = published_table(read_sweep([run]))
    assert table.headings == (
        "source", "shadows, published", "here", "train accuracy, published", "here", "test accuracy, published", "here",
        "attack accuracy, published", "here", "precision, published", "here", "recall, published", "here",
        "attack here",
    )  # fmt: skip
    paper, study = ([cell.text for cell in row] for row in table.rows)
    assert paper == ["Shokri et al. 2017 (median over classes)", "100", "-", "-", "1.000", "-", "-", "-", "-", "0.78",
                     "-", "1", "-", "-"]  # fmt: skip
    assert study[-4:] == ["-", "1.0", "-", "-"]
