"""`mia diff A B`: the keys in which two runs differ, then their metrics, paired where both judged the same records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mia.checks import RequestError
from mia.cli.arguments import as_text, only_overrides
from mia.cli.finding import Values, find_run, name_first
from mia.cli.main import ALL_IS_WELL
from mia.composition import compose_config
from mia.config import DiffConfig, to_options
from mia.home import home
from mia.records import StoredRun

if TYPE_CHECKING:
    from rich.table import Table

    from mia.stored_result import Fetch

KINDS = ("utility", "leakage", "privacy")
"""Of the metrics that are told; counts, controls and times are not."""
ENDS = ("_low", "_high")


@dataclass(frozen=True)
class Difference:
    """One metric of two runs; `change` is B - A."""

    name: str
    a: str
    b: str
    change: str


def command(arguments: list[str]) -> int:
    """Print the differences and return the exit code."""
    overrides = [as_text(one, ("a", "b")) for one in only_overrides(name_first(arguments, ["a", "b"]), "diff")]
    config: DiffConfig = to_options(compose_config(overrides, "diff"), DiffConfig)
    if not config.a or not config.b:
        raise RequestError("which two runs? mia diff RUN RUN; mia runs lists them")
    from mia.cli.summary import fetcher
    from mia.tracking import Reader

    reader = Reader.open(config.tracking, home())
    a, b = find_run(reader, config.a), find_run(reader, config.b)
    fetch = fetcher(reader)
    from rich.console import Console

    console = Console()
    for name, run in (("A", a), ("B", b)):
        console.print(f"{name}  run {run.id[:8]} ({run.name}), {run.status.lower()}", highlight=False, markup=False)
    keys = differing(values_of(a, fetch), values_of(b, fetch))
    if keys:
        console.print(_table(["key", "A", "B"], [[key, *map(_words, pair)] for key, pair in keys.items()]))
    else:
        print("no key differs")
    pairs = paired(a, b, fetch)
    found = metric_differences(a, b, pairs)
    if found:
        console.print(_table(["metric", "A", "B", "B - A"], [[one.name, one.a, one.b, one.change] for one in found]))
    if pairs:
        print("An interval of B - A is paired: both runs judged the same records, of the same truth.")
    return ALL_IS_WELL


def values_of(run: StoredRun, fetch: "Fetch") -> Mapping[str, Any]:
    """Return a run's typed config by key; what its table says, where the config cannot be read."""
    from mia.config import from_stored
    from mia.study.frame import flat

    path = fetch(run, "config.yaml")
    try:
        if path is not None:
            stored = from_stored(path.read_text(encoding="utf-8"))
            return {**flat(stored.options), **stored.others}
    except (RequestError, OSError, ValueError):
        pass  # somebody else's, or an audit's
    values = Values(run)
    return {name: values[name] for name in run.params}


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the keys whose values differ, in order; None where one has no such key."""
    return {key: (a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)}


def paired(a: StoredRun, b: StoredRun, fetch: "Fetch") -> dict[str, tuple[float, float, float]]:
    """Return the paired difference B - A, with its interval, of each attack's AUC: {name: (value, low, high)}.

    Empty unless both runs judged the same records with the same truth.
    """
    from mia.metrics.comparison import paired_auc
    from mia.stored_result import stored_scores

    of_a, of_b = stored_scores(a, fetch), stored_scores(b, fetch)
    found = {f"attack/{attack}/auc": paired_auc(of_b, of_a, attack) for attack in of_a.keys() - {"index", "member"}}
    return {name: (one.value, one.low, one.high) for name, one in found.items() if one is not None}


def metric_differences(a: StoredRun, b: StoredRun, pairs: Mapping[str, tuple[float, float, float]]) -> list[Difference]:
    """Return the metrics that both have, with their intervals; differences have one where records are paired."""
    from mia.metrics.words import metric_of

    found = []
    for name in a.metrics:
        about = metric_of(name)
        if about is None or about.kind not in KINDS or name not in b.metrics or name.endswith(ENDS):
            continue
        change = f"{b.metrics[name] - a.metrics[name]:+.3f}"
        if name in pairs:
            value, low, high = pairs[name]
            change = f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
        attack = f"{name.split('/')[1]}: " if name.startswith("attack/") else ""
        found.append(Difference(f"{attack}{about.words}", _estimate(a, name), _estimate(b, name), change))
    return found


def _estimate(run: StoredRun, name: str) -> str:
    metrics = run.metrics
    low, high = (metrics.get(f"{name}{end}") for end in ENDS)
    ends = f" ({low:.3f}-{high:.3f})" if low is not None and high is not None else ""
    return f"{metrics[name]:.3f}{ends}"


def _words(value: Any) -> str:
    return "-" if value is None else ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _table(headings: list[str], rows: list[list[str]]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading == "B - A")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
