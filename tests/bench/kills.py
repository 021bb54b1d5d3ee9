"""Kills a small sweep with SIGKILL at random moments, starts it again each time, and prints one JSON line.

python tests/bench/kills.py --kills 50
python tests/bench/kills.py --kills 12 --axis search     # a search in the place of a grid
python tests/bench/kills.py --kills 10 --axis epochs --late

A sweep that survives long enough to finish is compared with one that nobody disturbed, and another one is begun until
all kills are spent. Sweeps run in forks of one process that has imported everything, so that the kills hit the work and
not the imports; each sees an empty folder of compiled code at first. Exit code 0 if all is as it must be:

identical            every finished sweep gave scores bit-identical to the undisturbed one
running_left         runs still RUNNING in the store (must be 0)
unfinished           configurations whose latest attempt is not FINISHED (must be 0)
models_trained_twice saved models that were written again (must be 0)
models               models in the store of the last sweep, and what there must be
twins                configurations that finished more than once (must be 0)
trials               of the last search, each different, and as many again as a larger n_trials asked for afterwards
"""

import argparse
import importlib
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np

NEEDED = [
    "alembic.script", "mlflow.store.tracking.sqlalchemy_store", "sklearn.datasets", "flax.nnx",
    "mia.attacks.gap", "mia.attacks.thresholds", "mia.cli.sweep", "mia.sweeper.request",
    "mia.cli.publish", "mia.cli.summary", "mia.data.digits", "mia.experiment.run", "mia.report.sweep", "mia.train.many",
    "mia.train.predict", "mia.sweeper.search",
]  # fmt: skip
SHADOWS = 2
SWEEP = [
    "-m", "model.hidden=[8]", f"split.num_shadows={SHADOWS}", "attack=[gap,loss]",
]  # fmt: skip
SEARCH = [
    "split.size=30", "train.epochs=20", "train.l2=tag(log,interval(1e-4,1e-1))", "train.dropout=interval(0,0.8)",
    "hydra/sweeper=optuna", "hydra.sweeper.maximize=[target/test_accuracy]", "hydra.sweeper.minimize=[attack/loss/auc]",
]  # fmt: skip
MORE = 2  # trials that a search is asked for when it has ended
AXES = {
    "search": {count: [*SEARCH, f"hydra.sweeper.n_trials={count}"] for count in (2, 4, 6)},
    "sizes": {
        2: ["train.epochs=20", "split.size=20,30"],
        4: ["train.epochs=20", "split.size=20,30", "train.l2=0,1e-2"],
        6: ["train.epochs=20", "split.size=20,30,40", "train.l2=0,1e-2"],
    },
    "epochs": {  # the shorter ones are models on the way to the longest
        2: ["split.size=20", "train.epochs=20,40"],
        4: ["split.size=20", "train.epochs=10,20,40,60"],
        6: ["split.size=20", "train.epochs=20,40,60", "train.l2=0,1e-2"],
    },
}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--configurations", type=int, choices=[2, 4, 6], default=6)
    parser.add_argument("--axis", choices=list(AXES), default="sizes")
    parser.add_argument("--late", action="store_true", help="ask models when a run needs it, as of large data sets")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no more kills after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--launcher", choices=["basic", "joblib"], default="basic")
    options = parser.parse_args()
    import_everything()
    if options.late:
        importlib.import_module("mia.experiment.training").FEW = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        found = torment(Path(folder), options)
    print(json.dumps(found))
    wrong = sum(found[key] for key in ("running_left", "unfinished", "models_trained_twice", "twins"))
    is_well = found["identical"] and not wrong and found["trials"] == found["trials_wanted"]
    return 0 if is_well and found["models"] == found["models_wanted"] else 1


def torment(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    begun = time.monotonic()
    arguments = [*SWEEP, *AXES[options.axis][options.configurations], f"hydra/launcher={options.launcher}"]
    code, seconds = attempt(folder / "undisturbed", arguments)
    assert code == 0, (folder / "undisturbed.log").read_text()[-2000:]
    wanted = scores(folder / "undisturbed")
    assert len(wanted) == options.configurations
    chance = random.Random(options.seed)
    kills = sweeps = twice = running = unfinished = models = twins = 0
    is_identical = True
    deadline = begun + 60 * options.minutes
    while kills < options.kills and time.monotonic() < deadline:
        sweeps += 1
        home, saved = folder / f"sweep{sweeps}", {}
        while True:
            is_over = kills >= options.kills or time.monotonic() > deadline
            patience = None if is_over else chance.uniform(0, seconds / 2)
            code, _ = attempt(home, arguments, patience)
            now = manifests(home)
            twice += sum(now.get(path) != stamp for path, stamp in saved.items())
            saved = now
            if code == 0:
                break
            assert code == -signal.SIGKILL, (home.with_suffix(".log")).read_text()[-2000:]
            kills += 1
            print(f"{kills} kills, sweep {sweeps}: {len(saved)} models saved", file=sys.stderr)
        found = scores(home)
        shared = found.keys() & wanted.keys()  # a search may choose otherwise that was killed while it chose
        is_identical &= bool(shared) and all(same(found[name], wanted[name]) for name in shared)
        is_identical &= len(found) == len(wanted) and (options.axis == "search" or found.keys() == wanted.keys())
        running += len(select(home, "SELECT 1 FROM runs WHERE status = 'RUNNING'"))
        unfinished += sum(status != "FINISHED" for status, _ in latest(home).values())
        twins += len(finished(home)) - len(set(finished(home)))
        models = len(saved)
    tried, wished = [], []
    if options.axis == "search":
        more = options.configurations + MORE
        tried, wished = [count_trials(home)], [options.configurations, more, more]
        code, _ = attempt(home, [*arguments, f"hydra.sweeper.n_trials={more}"])
        tried += [count_trials(home), len(finished(home))] if code == 0 else []
    return {
        "kills": kills, "sweeps": sweeps,
        "axis": options.axis, "configurations": options.configurations, "launcher": options.launcher,
        "identical": is_identical, "running_left": running, "unfinished": unfinished, "models_trained_twice": twice,
        "twins": twins, "trials": tried,
        "trials_wanted": wished,
        "models": models, "models_wanted": options.configurations * (SHADOWS + 1),
        "undisturbed_seconds": round(seconds, 1), "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


def import_everything() -> None:
    """Import what a sweep needs without starting JAX's backend or opening a store."""
    from mia.tracking.mlflow_errors import quiet_mlflow

    quiet_mlflow()
    for name in NEEDED:
        importlib.import_module(name)


def attempt(home: Path, arguments: list[str], patience: float | None = None) -> tuple[int, float]:
    """Run the command, killed after `patience` seconds; return its exit code (minus the signal) and its seconds."""
    begun = time.monotonic()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.setsid()
        with home.with_suffix(".log").open("ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.environ["MIA_HOME"] = str(home)
        from mia.cli.main import dispatch

        code = 70
        try:
            code = dispatch(arguments)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), time.monotonic() - begun
        if patience is not None and time.monotonic() - begun > patience:
            os.killpg(child, signal.SIGKILL)
            patience = None
        time.sleep(0.005)


def manifests(home: Path) -> dict[str, tuple[int, int]]:
    """Return when each saved model was written."""
    return {
        f"{path.parent.name}/{path.name}": (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in home.glob("pools/*/[0-9]*.json")
    }


def select(home: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(home / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def count_trials(home: Path) -> int:
    """Return how many trials of a search have ended well, each of them different."""
    (study,) = home.glob("studies/*.db")
    with closing(sqlite3.connect(study)) as connection:
        rows = connection.execute(
            "SELECT trial_id, param_name, param_value FROM trial_params JOIN trials USING (trial_id)"
            " WHERE state = 'COMPLETE' ORDER BY trial_id, param_name"
        ).fetchall()
    chosen: dict[int, list] = {}
    for number, *choice in rows:
        chosen.setdefault(number, []).append(tuple(choice))
    return len(set(map(tuple, chosen.values())))


def finished(home: Path) -> list[str]:
    """Return the fingerprints of the finished runs."""
    return [
        name
        for (name,) in select(
            home,
            "SELECT print.value FROM runs JOIN tags kind USING (run_uuid) JOIN tags print USING (run_uuid)"
            " WHERE kind.key = 'mia.kind' AND kind.value = 'run' AND print.key = 'mia.fingerprint'"
            " AND status = 'FINISHED'",
        )
    ]


def latest(home: Path) -> dict[str, tuple[str, str]]:
    """Return status and folder of the latest attempt of every configuration, by its fingerprint."""
    rows = select(
        home,
        "SELECT print.value, status, artifact_uri FROM runs JOIN tags kind USING (run_uuid)"
        " JOIN tags print USING (run_uuid) WHERE kind.key = 'mia.kind' AND kind.value = 'run'"
        " AND print.key = 'mia.fingerprint' ORDER BY start_time",
    )
    return {name: (status, uri.removeprefix("file://")) for name, status, uri in rows}


def scores(home: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return the scores of the latest attempts, by fingerprint."""
    found = {}
    for name, (status, folder) in latest(home).items():
        if status == "FINISHED":
            with np.load(Path(folder) / "scores.npz", allow_pickle=False) as file:
                found[name] = dict(file)
    return found


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


if __name__ == "__main__":
    sys.exit(main())
