import dataclasses
import io
from pathlib import Path

from report_fakes import failed, fake_sweep, fetch_file, run_of
from rich.console import Console

from mia.cli.terminal import sweep_end, sweep_table
from mia.study.frame import read_study


def printed(part, width=120, *, is_terminal=False) -> str:
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=is_terminal, color_system="standard" if is_terminal else None).print(
        part
    )
    return file.getvalue()


def test_a_sweep_ends_with_its_answer() -> None:
    runs = fake_sweep(None, sizes=(2500,), keys=("train.l2",), seeds=(0,), records=400)
    runs = [dataclasses.replace(run, tags={**run.tags, "mia.warnings": "the default warns"}) for run in runs]
    study = read_study(runs, fetch_file)
    text = printed(sweep_end(study, report=Path("/somewhere/report.html"), sweep_id="abc123"))
    first = study.estimate(0, f"attack/{study.attacks[0]}/auc")
    for wanted in (
        "no defence", "L2 0.01", "knows the defence", "does not know it", f"{first.value:.3f}",
        f"{first.low:.3f}-{first.high:.3f}", "What changed most: AUC", "/somewhere/report.html", "mia ui", "abc123",
        "DivergedError",
    ):  # fmt: skip
        assert wanted in text, wanted
    assert text.count("the default warns") == 1
    assert "(8 of 8 runs)" in text


def test_the_best_is_marked_and_the_path_can_be_clicked() -> None:
    aucs = {0.0: 0.9, 0.1: 0.8}
    runs = [
        run_of(f"{d}", train__dropout=d, metrics={"attack/gap/auc": v, "target/test_accuracy": 0.5})
        for d, v in aucs.items()
    ]
    text = printed(sweep_end(read_study(runs, fetch_file), report=Path("/x/report.html")), is_terminal=True)
    assert "\x1b[1;32m0.800" in text
    assert "\x1b[1;32m0.900" not in text
    assert "file:///x/report.html" in text


def test_a_long_sweep_is_cut_short() -> None:
    runs = [run_of(str(k), split__size=100 + k, metrics={"attack/gap/auc": 0.6}) for k in range(30)]
    text = printed(sweep_end(read_study(runs, fetch_file), most=10))
    assert "... and 20 settings more" in text
    assert "119" not in text


def test_rows_fit_eighty_columns() -> None:
    runs = fake_sweep(None, sizes=(2500,), keys=("train.l2",), seeds=(0,), records=60)
    text = printed(sweep_table(read_study(runs, fetch_file)), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "AUC" in text


def test_no_run_finished() -> None:
    text = printed(sweep_end(read_study([failed(run_of("a"), "out of memory")], fetch_file)))
    assert "out of memory" in text
