"""What `mia --help` prints: the commands, and what can be chosen.

Names are read from the folders of configs and from what installed packages say of themselves; none of it is imported.
"""

from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

COMMANDS = """\
mia: how much does a trained classifier tell about who was in its training set?

  mia [KEY=VALUE ...]                    run one experiment (default: scikit-learn's digits)
  mia -m +sweeps=NAME [KEY=A,B ...]      run a sweep; the same command again runs only what is not finished
  mia ui [port=5000]                     browse all runs in MLflow
  mia report sweep=NAME [out=DIR]        write the report of a sweep
  mia audit signals=FILE.npz out=DIR     attack predictions that any other program made (or plan=, scores=)
  mia plan records=N [framework=torch]   who trains on what, for models trained elsewhere; the code to copy
  mia pools [prune=true]                 list the trained models on disk, remove those that no run needs
  mia runs [where='train.l2>0']          list runs (sort=, columns=, limit=, format=table|csv|json)
  mia status                             how far sweeps are; exit code 1 if something failed
  mia diff RUN RUN                       the keys and metrics in which two runs differ
  mia note RUN text='...'                keep a note with a run
  mia rm RUN                             take a run out of the store, after saying who counts on it
  mia --cfg job [KEY=VALUE ...]          print the config, run nothing
  mia --hydra-help                       what Hydra itself can do

In training: train.l2, weight_decay, dropout, label_smoothing, confidence_penalty, mixup, relaxloss (0 is off),
  early_stopping, augmentation, adversarial, distillation, dp (groups: mia --cfg job shows their keys).
Sweeps with variants (defences, dp, frontier, mitigation): +SWEEP=VARIANT takes one; a wrong name lists them all.

What can be chosen with GROUP=NAME (attacks: attack=[NAME,NAME]); every other key of the config with KEY=VALUE:
"""
ENDING = """
Exit codes: 0 all is well, 1 a run failed, 2 the request was wrong and nothing ran,
  3 a limit that was set is exceeded (limit.auc=0.6 ...), 130 interrupted.
Environment: MIA_HOME the folder of the store (default: mlruns); MIA_DATA_DIR data sets; MIA_DEBUG=1 full tracebacks."""
GROUPS = ("data", "split", "shadow_data", "model", "train", "defence", "attack", "engine", "tracking")
POINTS = {"data": "mia.data", "model": "mia.models", "defence": "mia.defences", "attack": "mia.attacks"}
"""Of each group that other packages can add to: the group of their entry points."""


def text() -> str:
    """Return the help."""
    package = Path(__file__).resolve().parent.parent
    home = package.parent if (package.parent / "conf" / "config.yaml").is_file() else package
    installed = entry_points()
    added = {group: installed.select(group=point).names for group, point in POINTS.items()}
    lines = [_line(group, _files(home / "conf" / group) | added.get(group, set())) for group in GROUPS]
    if training := installed.select(group="mia.train_defences").names:
        lines.append(_line("", {f"train.{name}" for name in training}, "installed defences in training: "))
    lines.append(_line("+paper", _files(home / "conf" / "paper")))
    lines.append(_line("+sweeps", _files(home / "sweeps")))
    own = Path.cwd() / "sweeps"
    if own.resolve() != (home / "sweeps").resolve() and (names := _files(own)):
        lines.append(_line("", names, f"and yours in {own}: "))
    return COMMANDS + "\n".join(lines) + "\n" + ENDING


def _line(key: str, names: Iterable[str], words: str = "") -> str:
    return f"  {key:<12} {words}{', '.join(sorted(names))}"


def _files(folder: Path) -> set[str]:
    return {file.stem for file in folder.glob("*.yaml")}
