"""Arguments of the subcommands: overrides alone, or a request for help; and the question before they remove."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mia.checks import RequestError

USAGE = {
    "audit": "mia audit signals=FILE.npz out=DIR [attack=quick|full|[NAME,...]] [seed=N]; or plan=FILE predictions=DIR "
    "labels=FILE [kind=logits|probabilities|losses]; or scores=FILE",
    "plan": "mia plan records=N [split=pool|disjoint|canary] [split.num_shadows=K] [seed=0] [out=plan.npz] "
    "[framework=torch|keras|sklearn|xgboost]",
    "ui": "mia ui [port=5000] [host=127.0.0.1] [open=true] [tracking.uri=sqlite:///FILE]",
    "report": "mia report sweep=NAME[,NAME...] [where='train.dropout < 0.5'] [pictures=true] [out=DIR], "
    "or mia report run=ID",
    "pools": "mia pools [prune=true] [yes=true]",
    "runs": "mia runs [SWEEP] [where='split.size=2500 and train.l2>0'] [sort=-attack/loss/auc] "
    "[columns=name,target/test_accuracy] [limit=20] [format=table|csv|json]",
    "status": "mia status [SWEEP]; exit code 1 if something failed",
    "diff": "mia diff RUN RUN (ids, names or latest)",
    "note": "mia note RUN text='what I think of it'",
    "rm": "mia rm RUN [yes=true]",
}


def only_overrides(arguments: list[str], command: str) -> list[str]:
    """Return the arguments if all are overrides; print the usage and exit for --help.

    Raises:
        RequestError: an option that the command does not have, or a current folder that is gone.
    """
    check_here()
    if any(one in ("--help", "-h") for one in arguments):
        print(USAGE[command])
        sys.exit(0)
    for one in arguments:
        if one.startswith("-") or ("=" not in one and not one.startswith("~")):
            raise RequestError(f"{one!r} is not KEY=VALUE; usage: {USAGE[command]}")
    return arguments


def check_here() -> None:
    """Refuse to work in a folder that has been removed.

    Raises:
        RequestError: it has.
    """
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise RequestError("the current folder has been removed: cd to one that is there") from error


def as_text(override: str, keys: Sequence[str]) -> str:
    """Return an override whose value Hydra takes literally, if its key is one of `keys` and it is not quoted.

    Commas, comparisons and spaces in such a value are not Hydra's.
    """
    key, _, value = override.partition("=")
    if key not in keys or re.fullmatch(r"'[^']*'|\"[^\"]*\"", value) or value in ("", "null"):
        return override
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


def agreed(question: str) -> bool:
    """Ask.

    Raises:
        RequestError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise RequestError("nothing removed: there is no terminal to ask on; yes=true removes without asking")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
