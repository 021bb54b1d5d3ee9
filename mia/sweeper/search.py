"""The search: trials that a sampler chooses from what came of those before (`hydra/sweeper=optuna`).

Takes ranges, objectives and a number of trials. Trials are ordinary runs of an ordinary sweep: what is finished is
reused, and any launcher of Hydra's runs them. The study lies in `studies/` beside the store of runs; the same command
goes on after a kill, and a larger number of trials goes on after the end.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from mia.checks import RequestError
from mia.fingerprint import fingerprint
from mia.overrides import key_of, parsed, spell_out
from mia.sweep_options import OptunaOptions
from mia.sweeper.check import Composer, Configuration, check_all
from mia.sweeper.earlier import earlier_runs
from mia.sweeper.front import Confirmed, front_rows, front_words
from mia.sweeper.objectives import Objectives, check_metrics, read_floor, read_objectives
from mia.sweeper.ongoing import Search
from mia.sweeper.resuming import ResumingSweeper, Swept, missing, shielded, wait_for_the_dead
from mia.sweeper.space import Space, read_space
from mia.sweeper.study import Point, Study, Trial
from mia.sweeper.total import Total
from mia.tracking.database import copy_database
from mia.tracking.process import terminate_as_interrupt

EXAMPLES = 5
"""Trials that are checked before anything runs, and that a dry run shows."""
FRONT, IMPORTANCE = "front.csv", "importance.csv"


class SearchSweeper(ResumingSweeper):
    """Runs as many trials as are asked for, and perhaps the best of them again with fresh seeds."""

    options: OptunaOptions

    def jobs(self, arguments: list[str]) -> list[list[str]]:
        """Return the overrides of some trials, such as the search will make."""
        space, objectives = self._space(arguments), read_objectives(self.options)
        study = Study.open(None, space, objectives, self.options.sampler, self._seed())
        return self._next(study, space)

    def sweep(self, arguments: list[str]) -> int:
        """Run the search and return what `Task.finish` makes of it: the exit code.

        Raises:
            RequestError: the request cannot work, or another process is at the same search; nothing ran.
            StorageError: the store failed.
        """
        space, objectives = self._space(arguments), read_objectives(self.options)
        examples = check_all(self.jobs(arguments), self._composer(), self.task.data)
        check_metrics(objectives, examples[0])
        self.task = replace(self.task, floor=read_floor(self.options))
        batch = self.options.n_jobs or self.workers(self.options.n_trials)
        if self._config.get("dry_run") and self.task.foretell:
            return self._foretell(self.task.foretell, space, objectives, batch)
        name = self._name(space, objectives)
        with self._alone(name) as path, terminate_as_interrupt(), ExitStack() as stack:
            study = stack.enter_context(
                closing(Study.open(path, space, objectives, self.options.sampler, self._seed(), batch))
            )
            search = self._open(examples[0], study, name)
            try:
                self._learn(search, space, objectives)
                self._go_on(search, space, objectives, batch)
                confirmed = self._confirm(search, space, objectives, batch)
            except KeyboardInterrupt:
                search.is_interrupted, confirmed = True, []
                print("mia: interrupted; the same command goes on where this one stopped", file=sys.stderr)
            with shielded():
                wait_for_the_dead(search.tracker, search.run.id)
                self._tell_front(search, space, objectives, confirmed)
                tracker, run = search.tracker, search.run
                members, found = tracker.members(run.id), list(search.configurations.values())
                outcomes, is_interrupted = tracker.outcomes(run.id, members), search.is_interrupted
                return self.task.finish(
                    Swept(self.task, tracker, run, found, outcomes, members, is_interrupted, search.failure)
                )

    def _foretell(self, tell: Callable[..., int], space: Space, objectives: Objectives, batch: int) -> int:
        """Let `tell` say what would be done from here on; the study is looked at in a copy."""
        path = self._path(self._name(space, objectives))
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            if path.exists():
                copy_database(path, copy)
            study = Study.open(copy, space, objectives, self.options.sampler, self._seed(), batch)
            with closing(study):
                total = Total(self.options.n_trials, study.ended())
                begun = self._next(study, space)
        if not begun:
            print(f"all {total.done} trials of this search are done")
            return 0
        examples = check_all(begun, self._composer(), self.task.data)
        return tell(examples, self.task.home, self.task.data, batch, total, self.options.confirm)

    # --- what is asked ---

    def _next(self, study: Study, space: Space) -> list[list[str]]:
        """Return the overrides of the next trials, begun or not, as far as they can be told."""
        trials = study.pending()
        while len(trials) < EXAMPLES and study.count() < self.options.n_trials and (one := study.ask()):
            trials.append(one)
        return [self._spelt(space, one) for one in trials[:EXAMPLES]]

    def _path(self, name: str) -> Path:
        return self.task.home / "studies" / f"{name}.db"

    def _space(self, arguments: list[str]) -> Space:
        params = self.options.params
        listed = [f"{key}={'null' if value is None else value}" for key, value in params.items()]
        parser = OverridesParser.create(self._context.config_loader)
        variants = {
            sweep: {name: parsed(overrides, parser) for name, overrides in known.items()}
            for sweep, known in self.task.variants.items()
        }
        space = read_space(parsed([*listed, *arguments], parser), variants)
        varied = {key.lstrip("+") for axes in (space.axes, *space.branches.values()) for key in axes}
        if self.options.confirm > 0 and "seed" in varied:
            given = f"hydra.sweeper.confirm={self.options.confirm}"
            raise RequestError(f"{given} needs seeds of its own: leave seed out of what is searched")
        return space

    def _seed(self) -> int:
        return int(self._config.get("seed", 0))

    def _composer(self) -> Composer:
        return Composer(self._context.config_loader)

    def _spelt(self, space: Space, trial: Trial) -> list[str]:
        return spell_out(space.overrides(trial.choices), self.task.variants)

    def _name(self, space: Space, objectives: Objectives) -> str:
        """Return what the same search is known by: the number of trials and how it is run do not count."""
        floor = [] if self.options.floor is None else [self.options.floor]
        seen = {key: repr(axis) for key, axis in space.axes.items()}
        seen |= {f"{key}={name}": repr(axes) for (key, name), axes in space.branches.items()}
        fixed = sorted(one for one in space.fixed if key_of(one) not in ("stop_after_failures", "rerun", "dry_run"))
        sought = [list(objectives.maximize), list(objectives.minimize), floor]
        return fingerprint({"search": seen, "fixed": fixed, "sought": sought, "sampler": self.options.sampler})

    # --- what is done ---

    @contextmanager
    def _alone(self, name: str) -> Iterator[Path]:
        """Yield the study's file, which no other process works with until the block ends."""
        from filelock import FileLock, Timeout

        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path.with_suffix(".lock"), timeout=0):
                yield path
        except Timeout as error:
            raise RequestError("another process is at this search already; mia status tells how far") from error

    def _open(self, example: Configuration, study: Study, name: str) -> Search:
        from mia.tracking import Tracker

        tracker = Tracker.open(example.config.tracking, self.task.home)
        for dead in tracker.close_dead_runs():
            print(f"mia: run {dead.id} was left behind by a process that died: closed as KILLED", file=sys.stderr)
        tags = {
            "mia.command": self.task.command,
            "mia.question": self.task.question,
            "mia.trials": self.options.n_trials,
        }
        run = tracker.open_sweep(self.task.name, fingerprint({"sweep": self.task.name, "search": name}), tags)
        known = tracker.expected(run.id)
        print(
            f"search {self.task.name}: {study.count()} of {self.options.n_trials} trials begun, run {run.id}",
            file=sys.stderr,
        )
        return Search(tracker, run, study, dict(known))

    def _learn(self, search: Search, space: Space, objectives: Objectives) -> None:
        """Tell the study of finished runs that might have been its trials."""
        composer = self._composer()
        for trial in search.study.told():
            for known in check_all([self._spelt(space, trial)], composer, self.task.data):
                search.configurations[known.fingerprint] = known
        told = 0
        for found in earlier_runs(
            search.tracker, objectives, space, composer, self._spelt, self.task.data, set(search.expected)
        ):
            if search.study.add_earlier(found.choices, found.values):
                search.configurations[found.configuration.fingerprint] = found.configuration
                search.tracker.reuse(found.run, search.run.id)
                told += 1
        if told:
            print(f"{told} finished runs are told to the study; they count as no trials", file=sys.stderr)

    def _go_on(self, search: Search, space: Space, objectives: Objectives, batch: int) -> None:
        """Run trials until there are as many as asked for: first those that were begun before."""
        study = search.study
        total = Total(self.options.n_trials, before=study.ended(), what="search")
        while not search.failure:
            trials = study.pending()[: self.options.n_trials]
            while len(trials) < batch and study.count() < self.options.n_trials:
                trial = study.ask()
                if trial is None:
                    print("everything that there is has been tried", file=sys.stderr)
                    break
                trials.append(trial)
            total = replace(total, done=study.ended(), now=time.time())
            if not trials or not self._run(search, space, objectives, trials, total):
                return

    def _run(self, search: Search, space: Space, objectives: Objectives, trials: Sequence[Trial], total: Total) -> bool:
        """Run trials and tell the study what came of them; return whether all of them ended."""
        composer, named = self._composer(), dict[int, Configuration]()
        for trial in trials:
            try:
                (named[trial.number],) = check_all([self._spelt(space, trial)], composer, self.task.data)
            except RequestError as error:
                print(f"  failed: {error}", file=sys.stderr)
                search.study.tell(trial, None)
        self._launch(search, list({one.fingerprint: one for one in named.values()}.values()), total)
        outcomes = search.tracker.outcomes(search.run.id)
        is_over = True
        for trial in trials:
            if trial.number not in named:
                continue
            outcome = outcomes[named[trial.number].fingerprint]
            if outcome.status in ("finished", "reused"):
                values = objectives.values(search.tracker.get(outcome.run_id).metrics)
                search.study.tell(trial, values)
            elif outcome.status in ("failed", "pruned"):
                search.study.tell(trial, None, is_pruned=outcome.status == "pruned")
            else:
                is_over = False  # it comes first when the search goes on
        return is_over

    def _launch(self, search: Search, configurations: list[Configuration], total: Total) -> None:
        search.expect(configurations)
        todo = missing(search.tracker, configurations, search.run.id)
        try:
            workers = min(self.workers(len(todo)), len(todo)) if todo else 1
            self.launch(todo, search.tracker, search.run.id, workers, total)
        except Exception as error:  # noqa: BLE001 - whatever a launcher raises, the summary is written
            search.failure = error
        wait_for_the_dead(search.tracker, search.run.id)

    def _confirm(self, search: Search, space: Space, objectives: Objectives, batch: int) -> list[Confirmed]:
        """Run what is on the front again, with seeds that the search has not seen."""
        fresh = range(self._seed() + 1, self._seed() + 1 + self.options.confirm)
        if not fresh or search.failure or search.study.pending() or search.study.count() < self.options.n_trials:
            return []
        confirmed: list[Confirmed] = []
        listed: list[tuple[Point, list[Configuration]]] = []
        for point in search.study.front():
            base = [one for one in self._spelt(space, Trial(0, point.choices)) if key_of(one) != "seed"]
            again = check_all([[*base, f"seed={seed}"] for seed in fresh], self._composer(), self.task.data)
            listed.append((point, again))
        everything = [one for _, again in listed for one in again]
        if not listed:
            return []
        print(f"confirming {len(listed)} points of the front with {len(fresh)} fresh seeds each", file=sys.stderr)
        total = Total(len(everything), what="confirmation")
        for start in range(0, len(everything), max(batch, 1)):
            total = replace(total, done=start, now=time.time())
            self._launch(search, everything[start : start + max(batch, 1)], total)
        outcomes = search.tracker.outcomes(search.run.id)
        for point, again in listed:
            runs = [outcomes[one.fingerprint].run_id for one in again if one.fingerprint in outcomes]
            found = [search.tracker.get(run).metrics for run in runs if run]
            values = [one for metrics in found if (one := objectives.values(metrics)) is not None]
            confirmed.append(Confirmed(point, tuple(map(tuple, values))))
        return confirmed

    def _tell_front(self, search: Search, space: Space, objectives: Objectives, confirmed: Sequence[Confirmed]) -> None:
        """Say what the front is, and store it with the sweep's run."""
        points = list(confirmed) or [Confirmed(point, ()) for point in search.study.front()]
        rows = front_rows(points, objectives.metrics, space)
        if not rows:
            return
        search.run.log_table(rows, FRONT)
        if shares := search.study.importance(objectives.metrics):
            search.run.log_table(shares, IMPORTANCE)
        private = any(_is_private(search.configurations))
        print("\n".join(front_words(rows, self.options.confirm, has_epsilon=private)), file=sys.stderr)


def _is_private(configurations: Mapping[str, Configuration]) -> Iterator[bool]:
    return (one.config.train.dp.is_on for one in configurations.values())
