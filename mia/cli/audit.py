"""`mia audit signals=FILE.npz out=DIR`: attack predictions that any other program made."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from mia.cli.main import ALL_IS_WELL
from mia.cli.progress import console_observer
from mia.cli.publish import publish
from mia.compose import compose_config, register
from mia.config import AuditConfig, as_yaml, flat, to_options
from mia.experiment.observer import StageBegan
from mia.files import StorageError, whole_file
from mia.home import home
from mia.records import Result, array_digest

if TYPE_CHECKING:
    from mia.audit import Audit


def command(overrides: list[str]) -> int:
    """Run the audit and return the exit code."""
    from mia.audit import read_audit
    from mia.cli.arguments import only_overrides

    register()
    composed = compose_config(only_overrides(overrides, "audit"), "audit")
    config: AuditConfig = to_options(composed, AuditConfig)
    out = Path(config.out)
    is_chosen = any(one.lstrip("+").startswith("attack=") for one in overrides)
    with console_observer() as observer:
        observer(StageBegan("data"))
        audit = read_audit(Path(config.signals))
        from mia.experiment.audit import check_attacks, run_audit
        from mia.tracking import Tracker

        if is_chosen:
            check_attacks(audit, config.attack)
        tracker = Tracker.open(config.tracking, home())
        tags = {"mia.kind": "audit", "mia.command": shlex.join(["mia", "audit", *overrides]), **describe(audit)}
        with tracker.run(name=f"audit {Path(config.signals).stem}", params=flat(composed), tags=tags) as run:
            run.log_text(as_yaml(composed), "config.yaml")
            result = run_audit(audit, config.attack, config.seed, is_chosen=is_chosen, observe=observer)
            observer(StageBegan("track"))
            _write(out, result, publish(run, result))
        observer.close()
    from mia.report.console import console_table

    console = Console()
    console.print(console_table(result))
    console.print(
        f"scores.npz, metrics.json, records.csv, per_class.csv and figures are in {out}; run {run.id}, "
        "browse it with: mia ui",
        highlight=False,
    )
    return ALL_IS_WELL


def describe(audit: "Audit") -> dict[str, str]:
    """Return the tags that say what is audited."""
    signals = audit.tasks[0].signals
    return {"mia.data_fingerprint": array_digest(signals.target_outputs, signals.shadow_membership)}


def _write(out: Path, result: Result, files: Mapping[str, bytes]) -> None:
    """Write the scores, the metrics and what people read, each whole or not at all."""
    import numpy as np

    for name, content in files.items():
        with whole_file(out / name) as path:
            path.write_bytes(content)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"out={out} cannot be made: {error.strerror}") from error
    with whole_file(out / "scores.npz") as path, path.open("wb") as file:
        np.savez(
            file, allow_pickle=False, index=result.index, **{name: one.score for name, one in result.scores.items()}
        )
    with whole_file(out / "metrics.json") as path:
        path.write_text(json.dumps(dict(result.metrics), indent=1, sort_keys=True) + "\n")
