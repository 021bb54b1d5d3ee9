import csv
import io
import math

import pytest
from report_fakes import failed, fake_sweep, fetch_file, run_of

from mia.metrics.estimates import Estimate
from mia.report.tables import (
    Cell,
    Table,
    estimate_cell,
    number_text,
    run_rows,
    summary_markdown,
    summary_rows,
    summary_table,
    table_latex,
)
from mia.study.frame import read_study
from mia.tables import csv_text, safe_cell

AUC, UTILITY = "attack/gap/auc", "target/test_accuracy"


@pytest.fixture
def runs():
    def run(size, seed, auc, accuracy):
        return run_of(f"n{size}-s{seed}", size + seed, {AUC: auc, UTILITY: accuracy}, split__size=size, seed=seed)

    broken = failed(run_of("n300", 300, split__size=300), "ValueError: a | b\nsecond line")
    return [run(100, 0, 0.9, 0.5), run(100, 1, 0.7, 0.6), run(200, 0, 0.6, 0.7), broken]


def test_settings_csv_has_means_deviations_and_the_interval_of_the_mean(runs) -> None:
    first, second, third = summary_rows(read_study(runs, fetch_file))
    assert (first["split.size"], first["runs"], first["unfinished"]) == (100, 2, 0)
    assert first[AUC] == pytest.approx(0.8)
    assert first[f"{AUC}_sd"] == pytest.approx(0.1 * math.sqrt(2))
    assert first[f"{AUC}_mean_high"] == 1.0  # twelve deviations wide, but an area
    assert (second[AUC], f"{AUC}_sd" in second) == (0.6, False)
    assert (third["runs"], third["unfinished"], AUC in third) == (0, 1, False)


def test_summary_csv_has_one_row_per_run(runs) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(run_rows(read_study(runs, fetch_file))))))
    assert [row["run"] for row in rows] == ["n100-s0", "n100-s1", "n200-s0", "n300"]
    assert [row["seed"] for row in rows] == ["0", "1", "0", "0"]
    assert float(rows[1][AUC]) == 0.7
    assert (rows[3]["status"], rows[3][AUC]) == ("FAILED", "")
    assert rows[3]["error"].startswith("ValueError")


def test_markdown_bolds_the_best_and_names_the_failed(runs) -> None:
    text = summary_markdown(read_study(runs, fetch_file))
    assert "| 100 | 2 | 0.550 ± 0.071 (0.000-1.000) | 0.800 ± 0.141 (0.000-1.000) |" in text
    assert "| 200 | 1 | **0.700** (0.631-0.763) | **0.600** |" in text
    assert "| 300 | 0 of 1 | - | - |" in text
    assert "- n300 failed: ValueError: a \\| b second line" in text


def test_a_defence_wins_only_against_an_attacker_who_knows() -> None:
    aucs = {(0.0, True): 0.9, (0.1, True): 0.8, (0.1, False): 0.5}
    runs = [run_of(f"{d}{a}", train__dropout=d, attacker__adaptive=a, metrics={AUC: v}) for (d, a), v in aucs.items()]
    column = summary_table(read_study(runs, fetch_file)).columns["AUC"]
    assert [(cell.text, cell.is_best) for cell in column] == [("0.900", False), ("0.800", True), ("0.500", False)]


def test_nothing_is_best_where_there_is_nothing_to_compare() -> None:
    table = summary_table(read_study([run_of(metrics={AUC: 0.7, UTILITY: 0.5})], fetch_file))
    assert not any(cell.is_best for column in table.columns.values() for cell in column)


def test_no_runs_and_only_failed_runs() -> None:
    assert summary_markdown(read_study([], fetch_file)) == "No runs yet.\n"
    study = read_study([failed(run_of("a"), "out of memory")], fetch_file)
    assert summary_markdown(study) == "Not finished:\n\n- a failed: out of memory\n"
    assert "tabular" in table_latex(summary_table(study))


def test_numbers_that_differ_in_the_seventh_digit_are_sorted_apart() -> None:
    values = [0.5 + 3e-7, 0.5, 0.5 + 1e-7, 0.5 + 2e-7, math.nan, 0.5]
    table = Table({"x": [Cell(f"{v:.3f}", v) for v in values]}, 0)
    assert [place for _, place in table.page_columns()["x"]] == [3, 0, 1, 2, 4, 0]


def test_strengths_are_sorted_by_strength_and_not_by_their_text() -> None:
    runs = [run_of(f"{v}", train__l2=v) for v in (1e-7, 2e-7, 0.1, 5e-3)]
    column = summary_table(read_study(runs, fetch_file)).columns["defence"]
    assert [cell.text for cell in sorted(column, key=lambda cell: cell.order)] == [
        "L2 1e-7",
        "L2 2e-7",
        "L2 5e-3",
        "L2 0.1",
    ]


def test_latex_is_literal_and_rows_agree(runs) -> None:
    odd = Table({r"50% of a_b & #1 \ {x} ~^$": [Cell("1 ± 2 & 3"), Cell("x_y", is_best=True)]}, 1)
    text = table_latex(odd)
    assert r"50\% of a\_b \& \#1 \textbackslash" in text
    assert r"1 $\pm$ 2 \& 3 \\" in text
    assert r"\textbf{x\_y}" in text
    body = [
        line for line in table_latex(summary_table(read_study(runs, fetch_file))).splitlines() if line.endswith(r"\\")
    ]
    assert len(body) == 4
    assert len({line.count(" & ") for line in body}) == 1


class Spreadsheet:
    """Reads CSV as office programs do: a cell that begins like a formula is one, unless it is a number."""

    def __init__(self, text: str) -> None:
        self.rows = list(csv.reader(io.StringIO(text)))

    def formulas(self) -> list[str]:
        cells = [cell for row in self.rows for cell in row]
        return [
            cell for cell in cells if cell.strip()[:1] in {"=", "+", "-", "@", "|", "%"} and not self._is_number(cell)
        ]

    @staticmethod
    def _is_number(cell: str) -> bool:
        try:
            float(cell)
        except ValueError:
            return False
        return True


@pytest.mark.parametrize(
    "evil", ["=1+1", "+SUM(A1)", "-2+3", "@SUM(A1)", "\t=1", " =cmd|'/c calc'!A1", '=HYPERLINK("x")', "\r=1"]
)
def test_no_cell_runs_as_a_formula(evil) -> None:
    assert not Spreadsheet(csv_text([{"class": evil, evil: 1.0}])).formulas()
    run = run_of(metrics={"attack/x/auc": -0.5}, data__name="digits")
    run.tags["mia.command"] = evil  # type: ignore[index]
    text = csv_text(run_rows(read_study([run], fetch_file)))
    assert not Spreadsheet(text).formulas()
    assert "-0.5" in text


def test_numbers_stay_numbers() -> None:
    assert [safe_cell(v) for v in (-0.5, "-0.5", "+1e-3", "-", "a-b", "1-2")] == [
        -0.5,
        "-0.5",
        "+1e-3",
        "'-",
        "a-b",
        "1-2",
    ]


def test_numbers_of_a_large_sweep_are_those_of_its_runs(tmp_path) -> None:
    runs = fake_sweep(None, sizes=(2500,), keys=("train.l2",), seeds=(0,), records=40)
    study = read_study(runs, fetch_file)
    table = summary_table(study, "loss")
    for k, cell in enumerate(table.columns["AUC"]):
        row = study.rows[k]
        wanted = f"{row.runs[0].metrics['attack/loss/auc']:.3f}" if row.runs else "-"
        assert cell.text == wanted


def test_no_zero_is_negative_and_intervals_below_zero_can_be_read() -> None:
    assert number_text(-0.0001) == "0.000"
    assert estimate_cell(Estimate(0.055, -0.0123, 0.122)).interval == "-0.012 to 0.122"
    assert estimate_cell(Estimate(0.5, 0.4, 0.6)).interval == "0.400-0.600"
