"""`mia rm RUN`: take a run out of the store, after saying who counts on it."""

from typing import TYPE_CHECKING

from mia.checks import RequestError
from mia.cli.arguments import agreed, as_text, only_overrides
from mia.cli.finding import RESULTS, find_run, name_first
from mia.cli.main import ALL_IS_WELL
from mia.composition import compose_config
from mia.config import RmConfig, to_options
from mia.home import home
from mia.records import StoredRun

if TYPE_CHECKING:
    from mia.tracking.reading import Reader


def command(arguments: list[str]) -> int:
    """Say what hangs on the run, ask, remove it, and return the exit code."""
    overrides = [as_text(one, ("run",)) for one in only_overrides(name_first(arguments, ["run"]), "rm")]
    config: RmConfig = to_options(compose_config(overrides, "rm"), RmConfig)
    from mia.tracking import Tracker
    from mia.tracking.process import is_gone

    tracker = Tracker.open(config.tracking, home())
    run = find_run(tracker, config.run, (*RESULTS, "sweep"))
    if run.status == "RUNNING" and not is_gone(run.tags):
        raise RequestError(f"run {run.id} ({run.name}) goes on: end it first")
    print(f"run {run.id} ({run.name}, {run.status.lower()})")
    for line in links(tracker, run):
        print(f"  {line}")
    if not config.yes and not agreed("Take it out of the store?"):
        print("nothing removed")
        return ALL_IS_WELL
    tracker.remove(run.id)
    print(f"removed; until 'mlflow gc' empties the bin, 'mlflow runs restore --run-id {run.id}' brings it back")
    return ALL_IS_WELL


def links(reader: "Reader", run: StoredRun) -> list[str]:
    """Return a line for each thing that hangs on a run: sweeps that count it, and pools that it alone needs."""
    if run.tags.get("mia.kind") == "sweep":
        count = len(reader.children(run.id))
        return [f"a sweep: its {count} runs stay, and count for its command again when that is given again"]
    lines = [
        f"counts in the sweep {sweep.name} ({sweep.id[:8]}): its command would make it again"
        for sweep in reader.sweeps_of(run)
    ]
    pools = [name for name in run.tags.get("mia.pools", "").split(",") if name]
    others = {name for one in reader.runs_with_pools() if one.id != run.id for name in one.tags["mia.pools"].split(",")}
    if alone := [name for name in pools if name not in others]:
        lines.append(f"its trained models stay; mia pools prune=true removes them then: {', '.join(alone)}")
    return lines
