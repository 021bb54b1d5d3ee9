import csv
import io
import math

import pytest
from report_fakes import failed, run_of

from mia.report.grouping import read_sweep
from mia.report.summary import latex_text, run_rows, summary_csv, summary_latex, summary_markdown, summary_rows
from mia.report.table import summary_table


@pytest.fixture
def runs():
    values = {(100, 0): (0.9, 0.6), (100, 1): (0.7, 0.5), (200, 0): (0.6, 0.7)}
    found = [
        run_of(f"n{n}-s{s}", seed=s, split__size=n, metrics={"attack/gap/auc": auc, "target/test_accuracy": acc})
        for (n, s), (auc, acc) in values.items()
    ]
    return [*found, failed(run_of("n300", seed=0, split__size=300), "ValueError: a | b\nsecond line")]


def test_rows_are_settings_with_means_by_hand(runs) -> None:
    first, second, third = summary_rows(runs)
    assert (first["split.size"], first["runs"], first["unfinished"]) == ("100", 2, 0)
    assert first["attack/gap/auc"] == pytest.approx(0.8)
    assert first["attack/gap/auc_sd"] == pytest.approx(0.1 * math.sqrt(2))
    assert (second["attack/gap/auc"], "attack/gap/auc_sd" in second) == (0.6, False)
    assert (third["runs"], third["unfinished"], "attack/gap/auc" in third) == (0, 1, False)


def test_csv_has_one_row_per_run(runs) -> None:
    rows = list(csv.DictReader(io.StringIO(summary_csv(runs))))
    assert [row["run"] for row in rows] == ["n100-s0", "n100-s1", "n200-s0", "n300"]
    assert float(rows[1]["attack/gap/auc"]) == 0.7
    assert (rows[3]["status"], rows[3]["attack/gap/auc"]) == ("FAILED", "")
    assert rows[3]["error"].startswith("ValueError")


def test_markdown_bolds_the_best_and_names_the_failed(runs) -> None:
    text = summary_markdown(runs)
    assert "| 100 | 2 | 0.550 ± 0.071 | 0.800 ± 0.141 |" in text
    assert "| 200 | 1 | **0.700**" in text
    assert "**0.600**" in text
    assert "| 300 | 0 of 1 | - | - |" in text
    assert "- n300 failed: ValueError: a \\| b second line" in text


def test_a_defence_wins_only_against_an_attacker_who_knows() -> None:
    aucs = {(0.0, True): 0.9, (0.1, True): 0.8, (0.1, False): 0.5}
    runs = [
        run_of(f"{d}{a}", train__dropout=d, attacker__adaptive=a, metrics={"attack/gap/auc": v})
        for (d, a), v in aucs.items()
    ]
    table = summary_table(read_sweep(runs))
    column = table.metrics.index("attack/gap/auc")
    assert [(row[column].text, row[column].is_best) for row in table.rows] == [
        ("0.900", False),
        ("0.800", True),
        ("0.500", False),
    ]


def test_nothing_is_best_where_there_is_nothing_to_compare() -> None:
    table = summary_table(read_sweep([run_of(metrics={"attack/gap/auc": 0.7, "target/test_accuracy": 0.5})]))
    assert not any(cell.is_best for row in table.rows for cell in row)


def test_no_runs_and_only_failed_runs() -> None:
    assert summary_markdown([]) == "No runs yet.\n"
    assert (summary_rows([]), run_rows([])) == ([], [])
    text = summary_markdown([failed(run_of("a"), "out of memory")])
    assert text == "Not finished:\n\n- a failed: out of memory\n"
    assert "tabular" in summary_latex([failed(run_of("a"), "x")])


def test_latex_is_literal() -> None:
    assert latex_text(r"50% of a_b & #1 \ {x} ± ~^$") == (
        r"50\% of a\_b \& \#1 \textbackslash{} \{x\} $\pm$ \textasciitilde{}\textasciicircum{}\$"
    )


def test_latex_rows_end_and_columns_agree(runs) -> None:
    lines = summary_latex(runs).splitlines()
    body = [line for line in lines if line.endswith(r"\\")]
    assert len(body) == 4
    assert len({line.count(" & ") for line in body}) == 1
