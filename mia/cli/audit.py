"""`mia audit signals=FILE.npz out=DIR`: attack predictions that any other program made."""

import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from mia.attacks import is_owners
from mia.checks import RequestError, one_of
from mia.cli.main import judge
from mia.cli.progress import ConsoleObserver, console_observer
from mia.cli.whereabouts import browse_words, place_of
from mia.composition import compose_config
from mia.config import AuditConfig, as_yaml, flat, to_options
from mia.experiment.judge import Terms
from mia.experiment.observer import Event, Scored, StageBegan
from mia.home import home
from mia.limits import check_limits
from mia.model_card import About
from mia.outputs import check_given, check_writable, folder_files, write_files
from mia.overrides import key_of
from mia.records import Result, array_digest

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mia.predictions.audit import Audit
    from mia.tracking.run import Run

FORMS = ("signals", "plan", "scores")
WITH_PLAN = ("predictions", "labels", "kind")
"""Keys that say what `plan=` does not, and mean nothing elsewhere."""
GIVEN = "one of signals=FILE, plan=FILE with predictions=DIR, or scores=FILE"


def command(arguments: list[str]) -> int:
    """Run the audit and return the exit code."""
    from mia.cli.arguments import only_overrides

    if not arguments:
        raise RequestError(f"mia audit takes out=DIR and {GIVEN}")
    overrides, left_out = read_presets(only_overrides(arguments, "audit"))
    composed = compose_config(overrides, "audit")
    config: AuditConfig = to_options(composed, AuditConfig)
    out = check_writable(check_given("out", config.out))
    attacks = {name: one for name, one in quick_first(config) if name not in left_out}
    is_chosen = overrides == arguments  # by name: no preset was spelt out, nothing left out
    about = About(config.audit.model, config.audit.data, shlex.join(["mia", "audit", *arguments]))
    terms = Terms(config.attack.prior, config.audit.delta, config.audit.confidence, config.audit.group_score)
    with console_observer() as observer:
        observer(StageBegan("data"))
        audit = read(config, {key_of(one) for one in overrides})
        from mia.experiment.audit import check_attacks, run_audit

        if is_chosen:
            check_attacks(audit, attacks)
        with _tracked(config, composed, about, audit) as run:
            result = run_audit(
                audit,
                attacks,
                config.seed,
                is_chosen=is_chosen,
                terms=terms,
                growth=config.attack.growth,
                observe=_telling(observer),
            )
            observer(StageBegan("track"))
            made: dict[str, bytes] = {}
            if run is not None:
                from mia.cli.publish import publish

                made = publish(run, result)
            files = folder_files(result, about, made)
            write_files(out, files)
        observer.close()
    _print(result, files, out, run)
    return judge(check_limits(result.metrics, config.limit, is_owners))


def read(config: AuditConfig, typed: Collection[str] = ()) -> "Audit":
    """Return what the request names: a file of arrays, a plan with predictions, or scores.

    Args:
        config: The request.
        typed: The keys that were typed.

    Raises:
        RequestError: none or several of these, a key that does not go with it, or a file that cannot be meant.
    """
    given = [form for form in FORMS if getattr(config, form) is not None]
    if len(given) != 1:
        raise RequestError(f"{' and '.join(f'{one}=' for one in given) or 'nothing'} is given to audit: give {GIVEN}")
    from mia.predictions.audit import make_audit_of_scores
    from mia.predictions.forms import make_audit
    from mia.predictions.reading import read_arrays

    if given != ["plan"]:
        where = f"{given[0]}={getattr(config, given[0])}"
        if stray := [f"{key}={getattr(config, key)}" for key in WITH_PLAN if key in typed]:
            raise RequestError(
                f"{' and '.join(stray)} cannot stand beside {given[0]}=, whose file says all by the names of its "
                "arrays: leave it out, or give plan=FILE"
            )
        arrays = read_arrays(Path(getattr(config, given[0])), where)
        try:
            return make_audit(arrays) if given == ["signals"] else make_audit_of_scores(arrays)
        except RequestError as error:
            raise RequestError(f"{where}: {error}") from error
    from mia.predictions.planned import audit_of_plan, read_labels, read_plan

    if config.predictions is None:
        raise RequestError("plan= needs predictions=DIR: 0.npy the target's, k.npy shadow k's")
    plan = read_plan(config.plan or "")
    if config.labels is None and plan.labels is None and config.kind != "losses":
        raise RequestError("plan= needs labels=FILE.npy, the true class of each record (kind=losses needs none)")
    beside = {} if config.labels is None else read_labels(Path(config.labels))
    return audit_of_plan(plan, Path(config.predictions), config.kind, beside)


def read_presets(overrides: list[str]) -> tuple[list[str], set[str]]:
    """Return overrides with the presets of `attack=` spelt out, and the attacks that `~attack.NAME` leaves out.

    Where nothing is chosen that is every attack that takes no time, and the support vector machine.
    """
    from mia.attacks import ATTACKS

    outsiders = [(name, spec) for name, spec in ATTACKS.items() if not spec.is_owners]
    quick = [name for name, spec in outsiders if not spec.is_slow]
    presets = {
        "attack=quick": quick,
        "attack=full": [name for name, spec in outsiders if spec.is_offline],
        "attack=usual": [*quick, "shadow_svm"],
    }
    left_out = {one.removeprefix("~attack.") for one in overrides if one.startswith("~attack.")}
    for name in left_out:
        one_of("attack", name, ATTACKS)
    kept = [one for one in overrides if not one.startswith("~attack.")]
    if not any(key_of(one) == "attack" for one in kept):
        kept.append("attack=usual")
    return [f"attack=[{','.join(presets[one])}]" if one in presets else one for one in kept], left_out


def quick_first(config: AuditConfig) -> list[tuple[str, Any]]:
    """Return the attacks to run with their options, those that take their time last."""
    from mia.attacks.options import from_schema
    from mia.experiment.attacking import quick_first as ordered

    return list(ordered(from_schema(config.attack)).items())


@contextmanager
def _tracked(config: AuditConfig, composed: "DictConfig", about: About, audit: "Audit") -> Iterator["Run | None"]:
    """Yield a run of the store, opened before anything is attacked, so that a failure is there too; or none."""
    if not config.tracking.enabled:
        yield None
        return
    from mia.tracking import Tracker
    from mia.tracking.names import check_apart

    check_apart(audit.scores)
    subject = next(str(given) for form in FORMS if (given := getattr(config, form)) is not None)
    name = f"audit {about.model or Path(subject).stem}"
    tags = {"mia.kind": "audit", "mia.command": about.command, "mia.data_fingerprint": _digest(audit)}
    with Tracker.open(config.tracking, home()).run(name=name, params=flat(composed), tags=tags) as run:
        run.log_text(as_yaml(composed), "config.yaml")
        yield run


def _digest(audit: "Audit") -> str:
    task = audit.tasks[0]
    if audit.scores:
        return array_digest(task.is_member, *(one.score for one in audit.scores.values()))
    return array_digest(task.signals.target_outputs, task.signals.shadow_membership)


def _telling(observer: ConsoleObserver) -> Any:
    """Return an observer that also says what each attack found as soon as it is done."""
    from mia.metrics.auc import auc

    def observe(event: Event) -> None:
        observer(event)
        if isinstance(event, Scored):
            known = event.scores.score == event.scores.score
            member = event.is_member[known]
            if member.any() and not member.all():
                found = auc(event.scores.score[known], member)
                observer.say(f"{event.attack}: AUC {found.value:.3f} ({found.low:.3f} to {found.high:.3f})")

    return observe


def _print(result: Result, files: Mapping[str, bytes], out: Path, run: "Run | None") -> None:
    from mia.cli.terminal import console_table
    from mia.model_card import verdict

    console = Console()
    console.print(console_table(result))
    console.print(verdict(result), highlight=False, soft_wrap=True)
    names = ", ".join(sorted(name for name in files if "/" not in name))
    ending = "" if run is None else f"; run {run.id} in {place_of(run.where)}; {browse_words(run.where)}"
    console.print(f"{names} are in {out}{ending}", highlight=False, soft_wrap=True, markup=False)
