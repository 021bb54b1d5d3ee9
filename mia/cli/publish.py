"""From a result to the store and the terminal: metrics, curves, figures, tables, and what to do next."""

import io
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console

from mia.cli.whereabouts import browse_words, place_of
from mia.experiment.result import scores_file
from mia.records import Result, StoredRun
from mia.train.options import CHOSEN

if TYPE_CHECKING:
    import numpy as np

    from mia.tracking.run import Run
    from mia.tracking.tracker import Tracker

TABLE = "result.txt"  # the terminal's table, so that a run that is finished can show it again
TABLE_WIDTH = 80


def publish(run: "Run", result: Result, images: "np.ndarray | None" = None) -> dict[str, bytes]:
    """Store everything that was found out, and return the files that people read, by name.

    Args:
        run: Where to.
        result: Of an experiment or an audit.
        images: The data set's pictures, if it has any, for those that are most exposed.
    """
    run.log_arrays("scores.npz", dict(scores_file(result)))
    chosen = {f"{name}/{key}": value for name, one in result.scores.items() for key, value in one.details.items()}
    pools = {"mia.pools": ",".join(result.pools)} if result.pools else {}
    tuned = [line.removeprefix(CHOSEN) for line in result.warnings if line.startswith(CHOSEN)]
    with run.together():
        run.log_metrics(result.metrics)
        _log_curves(run, result)
        run.set_tags({**pools, "mia.warnings": "\n".join(result.warnings)})
        if tuned:
            run.set_tags({"mia.engine": "\n".join(tuned)})
    run.log_table([{"what": key, "value": value} for key, value in chosen.items()], "attack_details.csv")
    run.log_text(_table_text(result), TABLE)
    files = files_of(result, images, title=run.name)
    for name, content in files.items():
        run.log_bytes(name, content)
    return files


def files_of(result: Result, images: "np.ndarray | None", **page: str) -> dict[str, bytes]:
    """Return tables, curves, one small picture and the run's page, by file name."""
    from mia.report.run import run_files

    return run_files(result, images, **page)


def _log_curves(run: "Run", result: Result) -> None:
    if result.curves is not None:
        curves = result.curves
        run.log_curves(
            {
                "curve/train_loss": curves.train_loss[0],
                "curve/train_accuracy": curves.train_accuracy[0],
                "curve/test_loss": curves.test_loss[0],
                "curve/test_accuracy": curves.test_accuracy[0],
                **({} if curves.loss_auc is None else {"curve/loss_auc": curves.loss_auc}),
            }
        )
    for row in result.growth:  # step = number of shadows
        run.log_metrics({f"growth/{row['attack']}/auc": float(row["auc"])}, step=int(row["shadows"]))
    if result.shadow_accuracy is not None:  # step = shadow number, from 1
        for shadow, (train, test) in enumerate(result.shadow_accuracy, start=1):
            run.log_metrics({"shadows/train_accuracy": train, "shadows/test_accuracy": test}, step=shadow)


def print_result(result: Result, run: "Run", name: str) -> None:
    """Print what was run, the table of utility and leakage, the run's id and how to see more."""
    from mia.cli.terminal import console_table

    _print_name(name)
    Console().print(console_table(result))
    _print_ending(run.id, run.where)


def print_stored(tracker: "Tracker", found: StoredRun) -> None:
    """Print the same of a run that was finished before."""
    _print_name(found.name)
    with suppress(FileNotFoundError):
        print(tracker.artifact(found, TABLE).read_text(encoding="utf-8"), end="", flush=True)
    _print_ending(found.id, tracker.where)


def _print_name(name: str) -> None:
    Console().print(name, style="bold", highlight=False, markup=False)


def _table_text(result: Result) -> str:
    from mia.cli.terminal import console_table

    console = Console(file=io.StringIO(), width=TABLE_WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(console_table(result))
    return captured.get()


def _print_ending(run_id: str, where: str) -> None:
    ending = f"run {run_id} in {place_of(where)}; {browse_words(where)}"
    Console().print(ending, highlight=False, soft_wrap=True, markup=False)
