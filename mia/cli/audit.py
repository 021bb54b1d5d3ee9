"""`mia audit signals=FILE.npz out=DIR`: attack predictions that any other program made."""

import json
import shlex
from pathlib import Path

from rich.console import Console

from mia.cli.main import ALL_IS_WELL
from mia.cli.progress import console_observer
from mia.compose import compose_config
from mia.config import AuditConfig, as_yaml, flat, to_options
from mia.files import StorageError, whole_file
from mia.home import home
from mia.records import Result, array_digest


def command(overrides: list[str]) -> int:
    """Run the audit and return the exit code."""
    from mia.audit import read_audit
    from mia.cli.arguments import only_overrides

    composed = compose_config(only_overrides(overrides, "audit"), "audit")
    config: AuditConfig = to_options(composed, AuditConfig)
    out = Path(config.out)
    with console_observer() as observer:
        observer.stage("data")
        audit = read_audit(Path(config.signals))
        from mia.experiment.audit import run_audit
        from mia.tracking import Tracker

        is_chosen = any(one.lstrip("+").startswith("attack=") for one in overrides)
        tracker = Tracker.open(config.tracking, home())
        result = run_audit(audit, config.attack, config.seed, is_chosen=is_chosen, observer=observer)
        _write(out, result)
        tags = {
            "mia.kind": "audit",
            "mia.command": shlex.join(["mia", "audit", *overrides]),
            "mia.data_fingerprint": array_digest(audit.signals.target_outputs, audit.signals.shadow_membership),
            "mia.warnings": "\n".join(result.warnings),
        }
        observer.stage("track")
        with tracker.run(name=f"audit {Path(config.signals).stem}", params=flat(composed), tags=tags) as run:
            from mia.cli.publish import files_of
            from mia.experiment.run import scores_file

            run.log_text(as_yaml(composed), "config.yaml")
            run.log_arrays("scores.npz", dict(scores_file(result)))
            run.log_metrics(dict(result.metrics))
            for name, content in files_of(result, None).items():
                run.log_bytes(name, content)
                with whole_file(out / name) as path:
                    path.write_bytes(content)
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


def _write(out: Path, result: Result) -> None:
    """Write the scores and the metrics, each whole or not at all."""
    import numpy as np

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
