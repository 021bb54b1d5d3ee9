"""Comparison views for MLflow's UI: which columns and charts a sweep is looked at with.

Takes names of config keys and metrics; gives an experiment tag and a link. The format is the UI's own and undocumented:
a UI that does not know it shows its usual page.
"""

import base64
import json
import time
import zlib
from collections.abc import Sequence
from typing import Any

PREFIX = "mlflow.sharedViewState."
UTILITY = "target/test_accuracy"
LEAKAGE = ("attack/shadow_svm/accuracy", "attack/shadow_svm/tpr_at_1pct_fpr", "attack/gap/accuracy")
AXES = ("split.size", "train.l2")
SECTION = "mia"
FIRST_PAGE = "/#/experiments?workflowType=machine_learning"  # the UI's own choice would be GenAI
COUNTS, SUPERSEDED = "true", "superseded"  # values of a run's tag `mia.sweep.<id>`


def experiment_tags() -> dict[str, str]:
    """Return the tags of a new experiment: what it is, for the UI and for people."""
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": "Membership inference: utility and leakage of every run. `mia` writes here.",
    }


def link(experiment_id: str, sweep_id: str = "") -> str:
    """Return the view's address, to follow the address of the UI."""
    query = f"viewStateShareKey={_key(sweep_id)}&compareRunsMode=CHART&workflowType=machine_learning"
    return f"/#/experiments/{experiment_id}/runs?{query}"


def saved_view(title: str, axes: Sequence[str], leakage: Sequence[str], sweep_id: str = "") -> tuple[str, str]:
    """Return the experiment tag (name and value) that holds a view.

    Args:
        title: its name in the UI's list of views.
        axes: the config keys that were swept.
        leakage: the metrics that tell how much leaks, the foremost first; the usual ones if none are given.
        sweep_id: the run of the sweep whose marked runs are shown; all runs if empty.
    """
    leakage = leakage or LEAKAGE
    state = {**_table(axes, leakage, condition(sweep_id)), **_charts(axes, leakage)}
    now = int(time.time() * 1000)
    packed = "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    envelope = {"name": title, "createdAt": now, "updatedAt": now, "state": packed}  # what MLflow 3.16 and later read
    return tag_name(sweep_id), json.dumps({**state, **envelope}, separators=(",", ":"))


def tag_name(sweep_id: str = "") -> str:
    """Return the name of the experiment's tag that holds a view."""
    return f"{PREFIX}{_key(sweep_id)}"


def _key(sweep_id: str) -> str:
    return f"sweep-{sweep_id[:12]}" if sweep_id else "mia"


def mark(sweep_id: str) -> str:
    """Return the tag of a sweep's runs, whichever sweep made them: `COUNTS`, or `SUPERSEDED` by another attempt."""
    return f"mia.sweep.{sweep_id}"


def condition(sweep_id: str) -> str:
    """Return the search for a sweep's marked runs, or for all runs."""
    return f"tags.`{mark(sweep_id)}` = '{COUNTS}'" if sweep_id else "tags.`mia.kind` = 'run'"


def _table(axes: Sequence[str], leakage: Sequence[str], search: str) -> dict[str, Any]:
    shown = dict.fromkeys([*axes, "defence.name", "attacker.adaptive"])
    columns = [*(f"params.`{name}`" for name in shown), *(f"metrics.`{name}`" for name in (UTILITY, *leakage))]
    return {
        "searchFilter": search,
        "orderByKey": f"metrics.`{leakage[0]}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": columns,
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "SHOW_ALL",
    }


def _charts(axes: Sequence[str], leakage: Sequence[str]) -> dict[str, Any]:
    cards = [
        _card(0, "PARALLEL", "From what was set to what leaked", 100)
        | {"selectedParams": list(axes), "selectedMetrics": [UTILITY, *leakage], "showAllRuns": True},
        _card(1, "SCATTER", "Utility against leakage", 100)
        | {"xaxis": {"key": UTILITY, "type": "METRIC"}, "yaxis": {"key": leakage[0], "type": "METRIC"}},
        *(
            _card(number, "BAR", metric, 30) | {"metricKey": metric}
            for number, metric in enumerate([UTILITY, *leakage], start=2)
        ),
    ]
    section = {"uuid": SECTION, "name": "Utility and leakage", "display": True, "isReordered": True}
    return {
        "compareRunCharts": cards,
        "compareRunSections": [section | {"deleted": False, "isGenerated": False}],
        "isAccordionReordered": True,
        "viewMaximized": False,
        "runListHidden": False,
        "autoRefreshEnabled": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "chartsSearchFilter": "",
    }


def _card(number: int, kind: str, title: str, most_runs: int) -> dict[str, Any]:
    return {
        "uuid": f"mia-{number}",
        "type": kind,
        "displayName": title,
        "runsCountToCompare": most_runs,
        "metricSectionId": SECTION,
        "deleted": False,
        "isGenerated": False,
    }
