"""`mia status`: how far sweeps are, asked from any terminal. Reads the store, and closes the runs of the dead in it.

The exit code is 1 where a configuration failed, or the process of a sweep or a run has died.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mia.cli.arguments import as_text, only_overrides
from mia.cli.closing import close_the_dead
from mia.cli.finding import RESULTS, name_first, shared_words, span_words
from mia.cli.main import A_RUN_FAILED, ALL_IS_WELL
from mia.composition import compose_config
from mia.config import StatusConfig, to_options
from mia.home import home
from mia.records import StoredRun

if TYPE_CHECKING:
    from mia.tracking.reading import Outcome, Reader

DONE = ("finished", "reused", "pruned")
MOST_LINES = 20
"""Running or failed configurations that are listed one by one."""


@dataclass(frozen=True)
class State:
    """A sweep, and what became of its configurations so far."""

    sweep: StoredRun
    names: Mapping[str, str]  # fingerprint -> name
    outcomes: Mapping[str, "Outcome"]
    runs: Mapping[str, StoredRun]  # by id
    now: float
    dead: frozenset[str]  # ids of runs whose process has died

    @cached_property
    def counts(self) -> Counter[str]:
        """How many configurations are how far; `died` are those that were running when their process ended."""
        return Counter(self.status(one) for one in self.outcomes.values())

    def status(self, outcome: "Outcome") -> str:
        """Return how far a configuration is."""
        return "died" if outcome.status == "running" and outcome.run_id in self.dead else outcome.status

    @property
    def is_going_on(self) -> bool:
        """Whether somebody is at work."""
        return self.sweep.status == "RUNNING" and self.sweep.id not in self.dead

    @property
    def total(self) -> int:
        """How many configurations there will be; a search has not chosen all of them."""
        trials = self.sweep.tags.get("mia.trials", "0")
        return max(len(self.outcomes), int(trials) if trials.isdigit() else 0)

    @property
    def is_well(self) -> bool:
        """Whether nothing has failed or died."""
        return not self.counts["failed"] and not self.counts["died"] and self.sweep.id not in self.dead

    @property
    def seconds_left(self) -> float | None:
        """How long it goes on, if the rest takes as long as what is finished; None if nothing says."""
        ended = self.of("finished") + self.of("pruned") or self.of("reused")
        taken = [one.seconds for one in ended if one.seconds > 0]
        running = self.of("running")
        if not taken or not self.is_going_on:
            return None
        mean = sum(taken) / len(taken)
        begun = [self.now - self.runs[one.run_id].started for one in running]
        waiting = self.counts["waiting"] + self.counts["queued"] + self.total - len(self.outcomes)
        return (waiting * mean + sum(max(mean - one, 0) for one in begun)) / max(len(running), 1)

    def of(self, status: str) -> list["Outcome"]:
        """Return what is so far."""
        return [one for one in self.outcomes.values() if self.status(one) == status]

    def named(self, status: str) -> list[tuple[str, "Outcome"]]:
        """Return what is so far, with its name."""
        shared = shared_words(list(self.names.values()))
        names = {key: " ".join(one for one in name.split() if one not in shared) for key, name in self.names.items()}
        return [
            (names.get(key) or self.names.get(key, key), one)
            for key, one in self.outcomes.items()
            if self.status(one) == status
        ]


def command(arguments: list[str]) -> int:
    """Print how far sweeps are, and return the exit code."""
    overrides = [as_text(one, ("sweep",)) for one in only_overrides(name_first(arguments, ["sweep"]), "status")]
    config: StatusConfig = to_options(compose_config(overrides, "status"), StatusConfig)
    from mia.tracking import Reader

    reader = Reader.open(config.tracking, home())
    states = [read_state(reader, sweep, time.time()) for sweep in _asked(reader, config.sweep)]
    for state in states:
        print("\n".join(lines(state)))
    alone = [] if config.sweep else runs_alone(reader)
    for run, is_dead in alone:
        doing = "its process died" if is_dead else _doing(run, time.time())
        print(f"run {run.id[:8]} ({run.name}): {doing}")
    if any(state.dead for state in states) or any(is_dead for _, is_dead in alone):
        close_the_dead(reader, config.tracking)
    if not states and not alone:
        print("nothing is running, and there is no sweep yet")
    is_well = all(state.is_well for state in states) and not any(is_dead for _, is_dead in alone)
    return ALL_IS_WELL if is_well else A_RUN_FAILED


def _asked(reader: "Reader", wanted: str | None) -> list[StoredRun]:
    """Return the sweep that is asked for, else those in progress, else the last."""
    if wanted:
        from mia.cli.report import find_sweep

        return [find_sweep(reader, wanted)]
    sweeps = reader.sweeps()
    return [sweep for sweep in sweeps if sweep.status == "RUNNING"] or sweeps[:1]


def read_state(reader: "Reader", sweep: StoredRun, now: float) -> State:
    """Return how far a sweep is."""
    from mia.tracking.process import is_gone

    members = reader.sketched(sweep)
    runs = {run.id: run for run in members}
    dead = {run.id for run in (sweep, *runs.values()) if run.status == "RUNNING" and is_gone(run.tags)}
    sent = _sent(reader, sweep) if sweep.status == "RUNNING" else set()
    outcomes = {
        name: one._replace(status="queued") if name in sent and one.status == "waiting" else one
        for name, one in reader.outcomes(sweep.id, members).items()
    }
    return State(sweep, reader.expected(sweep), outcomes, runs, now, frozenset(dead))


def _sent(reader: "Reader", sweep: StoredRun) -> set[str]:
    """Return what the jobs of a sweep run that have not ended, as far as can be told from here."""
    from mia.sweeper import ledger
    from mia.tracking import slurm

    sent = {
        f"{one.launcher}:{one.place}:{job}": batch
        for one in ledger.read(reader, sweep.id)
        for job, batch in one.jobs.items()
    }
    here = {named: number for named in sent if (number := slurm.job_here(named))}
    states = slurm.states(here.values())
    over = {named for named, number in here.items() if states[number].status == "ended"}
    return {name for named in sent.keys() - over for name in sent[named]}


def runs_alone(reader: "Reader") -> list[tuple[StoredRun, bool]]:
    """Return the runs that no sweep makes and that have not ended, and whether their process has."""
    from mia.tracking.process import is_gone

    return [
        (run, is_gone(run.tags))
        for run in reader.running()
        if run.tags.get("mia.kind", "run") in RESULTS and not any(key.startswith("mia.sweep") for key in run.tags)
    ]


def lines(state: State) -> list[str]:
    """Return what is to be said of a sweep."""
    counts, sweep = state.counts, state.sweep
    done = sum(counts[one] for one in DONE)
    said = f"{done} of {state.total} done" + (f" ({counts['reused']} before)" if counts["reused"] else "")
    said += "".join(
        f", {counts[one]} {one}" for one in ("running", "queued", "waiting", "failed", "killed", "died") if counts[one]
    )
    if state.sweep.id in state.dead:
        said += "; its process died"
    elif not state.is_going_on:
        said += f"; {sweep.status.lower()}"
    elif state.seconds_left is not None:
        said += f"; about {span_words(state.seconds_left)} left"
    found = [f"sweep {sweep.name} ({sweep.id[:8]}): {said}"]
    if state.sweep.id in state.dead:
        found.append(f"  goes on with: {sweep.tags.get('mia.command', 'the same command')}")
    found += _listed(
        "running", [(name, _doing(state.runs[one.run_id], state.now)) for name, one in state.named("running")]
    )
    found += _listed("failed", [(name, one.reason or "no reason is known") for name, one in state.named("failed")])
    return found + _listed("died", [(name, f"run {one.run_id[:8]}") for name, one in state.named("died")])


def _listed(what: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    more = [f"  and {len(pairs) - MOST_LINES} more {what}"] if len(pairs) > MOST_LINES else []
    return [f"  {what}: {name}: {words}" for name, words in pairs[:MOST_LINES]] + more


def _doing(run: StoredRun, now: float) -> str:
    """Return where and for how long a run has been going on, and what it last said that it was doing."""
    where = f"on {run.tags['mia.host']}" if run.tags.get("mia.job") and run.tags.get("mia.host") else ""
    return ", ".join(
        filter(None, [where, f"for {span_words(max(now - run.started, 0))}", run.tags.get("mia.doing", "")])
    )
