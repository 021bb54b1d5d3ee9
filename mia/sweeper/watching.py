"""From configurations to jobs in a queue, and until the last of them has ended.

Takes what is missing; sends what nobody is at, waits for all, and sees to it that the store says of each what became
of it. The jobs write their own runs: what is written here is only what a job could not write, since it was cancelled,
its node was lost, or it never began. Nothing is deleted here.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING

from mia.sweeper import ledger
from mia.sweeper.jobs_progress import MOST_NAMED, Progress
from mia.sweeper.ledger import Submission
from mia.sweeper.lengths import in_jobs
from mia.sweeper.queues import Queue, queue_has
from mia.tracking.process import is_gone
from mia.tracking.run import ERROR
from mia.tracking.slurm import JOB, UNKNOWN, JobState

if TYPE_CHECKING:
    from mia.records import StoredRun
    from mia.sweeper.check import Configuration
    from mia.sweeper.work import Work
    from mia.tracking.run import Run
    from mia.tracking.tracker import Tracker

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between two looks at the queue: what happened to a job is told within that and an answer of SLURM's."""
PATIENCE = 3
"""Looks at the queue between two looks for runs that others make."""
SECONDS_TO_END = 40.0  # for jobs that were cancelled: SLURM gives them 30 between the two signals
JOB_LOG = "job.log"  # an artifact of a run that a job could not close itself


@dataclass
class Watch:
    """The jobs of one sweep, from now on."""

    queue: Queue
    tracker: "Tracker"
    run: "Run"  # the sweep's
    wanted: Mapping[str, "Configuration"]  # by fingerprint
    work_of: Callable[[Sequence[str]], "Work"]
    per_job: int
    show: Callable[[Progress], None]
    cancels: bool = True  # at Ctrl-C
    families: Mapping[str, str] = field(default_factory=dict)  # by fingerprint: what one training serves
    _live: dict[str, tuple[str, ...]] = field(default_factory=dict)  # job -> fingerprints
    _pending: list[tuple[str, ...]] = field(default_factory=list)  # that the queue had no room for
    _elsewhere: set[str] = field(default_factory=set)
    _others: dict[str, Submission] = field(default_factory=dict)  # jobs that another submitter sent
    _begun: dict[str, float] = field(default_factory=dict)
    _took: list[float] = field(default_factory=list)
    _restarts: dict[str, int] = field(default_factory=dict)  # job -> how often it was put back into the queue
    _ended: int = 0

    def go(self) -> None:
        """Send what is missing and wait for all; on Ctrl-C end the jobs, or leave them if that is asked for.

        Raises:
            RequestError: the queue refuses the jobs.
            KeyboardInterrupt: somebody interrupted it.
        """
        try:
            self._adopt()
            self._send_missing()
            self._wait()
        except BaseException as error:
            self._leave(error)
            raise

    # --- what is there already ---

    def _adopt(self) -> None:
        """Find the jobs that an earlier or another submitter of the same sweep has sent, and that have not ended."""
        known: dict[str, tuple[str, ...]] = {}
        for one in ledger.read(self.tracker, self.run.id):
            if not queue_has(self.queue, one):
                continue
            found = one if one.ids else one.sent_as(self.queue.sent(one.token))
            known |= found.jobs
            self._others |= dict.fromkeys(found.jobs, found)
        states = self.queue.states(known) if known else {}
        self._live = {job: batch for job, batch in known.items() if states.get(job, UNKNOWN).status != "ended"}
        awaited = [name for batch in self._live.values() for name in batch if name in self.wanted]
        self._live = {job: batch for job, batch in self._live.items() if set(batch) & self.wanted.keys()}
        if self._live:
            first = min(self._others[job].at for job in self._live)
            self.tracker.goes_on_since(self.run, first)
            self._say(f"{len(awaited)} configurations are on their way in {self._named(self._live)}: waiting for them")

    def _send_missing(self) -> None:
        on_their_way = {name for batch in self._live.values() for name in batch}
        self._elsewhere = self._made_by_others() - on_their_way
        if self._elsewhere:
            self._say(f"{len(self._elsewhere)} configurations are being run by others: waiting for them")
        self._send([name for name in self.wanted if name not in on_their_way | self._elsewhere])

    def _made_by_others(self) -> set[str]:
        """Return what somebody alive makes a run of at this moment."""
        once = {name for name, one in self.wanted.items() if not one.config.rerun}
        if not once:
            return set()
        running = [run for run in self.tracker.running() if run.tags.get("mia.fingerprint") in once]
        own = {self.queue.tag(job) for job in self._live}
        return {
            run.tags["mia.fingerprint"]
            for run in running
            if run.tags.get("mia.kind") == "run" and run.tags.get(JOB) not in own and not is_gone(run.tags)
        }

    # --- sending ---

    def _send(self, names: Sequence[str]) -> None:
        self._pending += in_jobs(names, self.families, self.per_job)
        self._fill()

    def _fill(self) -> None:
        """Send as many jobs as there is room for."""
        room = self.queue.room - len(self._live) if self.queue.room else len(self._pending)
        batches, self._pending = self._pending[: max(room, 0)], self._pending[max(room, 0) :]
        if not batches:
            return
        submission = Submission(self.queue.kind, self.queue.place, tuple(batches))
        ledger.write(self.run, submission)
        ids = self.queue.send([self.work_of(batch) for batch in batches], submission.token)
        submission = submission.sent_as(ids)
        self._live |= submission.jobs
        ledger.write(self.run, submission)
        if not self.queue.room:
            self._say(f"sent {self._named(ids)}")

    # --- waiting ---

    def _wait(self) -> None:
        pause, looks, begun = FIRST_PAUSE, 0, time.monotonic()
        while self._live or self._elsewhere or self._pending:
            states = self.queue.states(self._live) if self._live else {}
            over = [job for job in self._live if states.get(job, UNKNOWN).status == "ended"]
            for job in over:
                self._close(job, states[job])
            self._note_times(states, time.monotonic())
            self._note_restarts(states)
            if self._elsewhere and looks % PATIENCE == 0:
                self._look_elsewhere()
            self._fill()
            self.show(self._progress(states))
            if not (self._live or self._elsewhere or self._pending):
                return
            looks += 1
            pause = FIRST_PAUSE if over else min(max(FIRST_PAUSE, (time.monotonic() - begun) / 10), LONGEST_PAUSE)
            time.sleep(pause)

    def _look_elsewhere(self) -> None:
        """Take what others have ended: counted if it is finished, else sent after all."""
        over = self._elsewhere - self._made_by_others()
        if not over:
            return
        self._elsewhere -= over
        finished = self.tracker.all_finished(over)
        for run in finished.values():
            self.tracker.reuse(run, self.run.id)
        self._send([name for name in self.wanted if name in over and name not in finished])

    def _close(self, job: str, state: JobState) -> None:
        """Let the store say what became of the configurations of a job that has ended."""
        batch = self._live.pop(job)
        self._ended += 1
        if not state.is_well:
            self._say(f"{self.queue.called(job)} ended: {state.said}")
        sender = self._others.get(job)
        if sender is not None and not is_gone(sender.by):
            return  # whoever sent it is there to close it
        reason = "" if state.is_well else f"{self.queue.called(job)}: {state.said}"
        attempts = {name: self.tracker.runs(kind="run", fingerprint=name) for name in batch if name in self.wanted}
        own = {
            name: [run for run in found if run.tags.get(JOB) == self.queue.tag(job)] for name, found in attempts.items()
        }
        last = max((run for found in own.values() for run in found), key=lambda run: run.started, default=None)
        for name, found in attempts.items():
            is_finished = any(run.status == "FINISHED" for run in found) and not self.wanted[name].config.rerun
            for run in own[name] if is_finished else own[name][1:]:
                if run.status == "RUNNING":  # of an earlier start of this job
                    self._end(run, "KILLED", f"{self.queue.called(job)} went on without this run: {state.said}")
            if not is_finished:
                is_last = bool(last and own[name] and own[name][0].id == last.id)
                self._close_configuration(name, job, own[name][:1], reason, is_cut=is_last and state.was_ended)

    def _close_configuration(
        self, name: str, job: str, own: Sequence["StoredRun"], reason: str, *, is_cut: bool
    ) -> None:
        """Close what a job has not finished; what it said itself while it was being ended comes after SLURM's word."""
        if not own:
            if reason:
                failed = self.tracker.fail(self.wanted[name].name, name, reason, self.run.id)
                self._keep_log(self.tracker.resume(failed), job)
            return
        (run,) = own
        if run.status == "FAILED" and is_cut and reason not in run.tags.get(ERROR, ""):
            self._fail(run, job, "; ".join(filter(None, [reason, run.tags.get(ERROR, "")])))
        elif run.status == "RUNNING" or (run.status == "KILLED" and reason):
            self._fail(run, job, reason or f"{self.queue.called(job)} ended without closing this run")

    def _fail(self, own: "StoredRun", job: str, reason: str) -> None:
        self._keep_log(self._end(own, "FAILED", reason), job)

    def _end(self, own: "StoredRun", status: str, reason: str) -> "Run":
        run = self.tracker.resume(own)
        run.set_tags({ERROR: reason})
        run.finish(status)
        return run

    def _keep_log(self, run: "Run", job: str) -> None:
        if said := self.queue.said(job):
            run.log_text(said, JOB_LOG)

    # --- interrupted ---

    def _leave(self, error: BaseException) -> None:
        """End the jobs, or say how they are found again."""
        if not self._live:
            return
        is_left = not isinstance(error, KeyboardInterrupt) or not self.cancels
        if is_left and self.queue.outlives:
            self._say(f"left: {self._named(self._live)}; the same command finds them again")
            return
        own = [job for job in self._live if job not in self._others or is_gone(self._others[job].by)]
        other = "engine.on_interrupt=leave would leave them" if self.queue.outlives else "they end with this command"
        self._say(f"cancelling {self._named(own)}; {other}")
        self.queue.cancel(own)
        deadline = time.monotonic() + SECONDS_TO_END
        while own and time.monotonic() < deadline:
            states = self.queue.states(own)
            own = [job for job in own if states.get(job, UNKNOWN).status != "ended"]
            if own:
                time.sleep(FIRST_PAUSE)
        if own:
            self._say(f"still there: {self._named(own)}")

    # --- what is said ---

    def _note_times(self, states: Mapping[str, JobState], now: float) -> None:
        for job, state in states.items():
            if state.status == "running":
                self._begun.setdefault(job, now)
            elif state.is_well and job in self._begun:
                self._took.append(now - self._begun.pop(job))

    def _note_restarts(self, states: Mapping[str, JobState]) -> None:
        """Close the runs that a job has left where it was put back into the queue: its node was lost, or taken."""
        again = [job for job, state in states.items() if state.restarts > self._restarts.get(job, 0)]
        for job in again:
            self._restarts[job] = states[job].restarts
            self._say(f"{self.queue.called(job)} is made again by SLURM: {states[job].said}")
        if again:
            self.tracker.close_dead_runs()

    def _progress(self, states: Mapping[str, JobState]) -> Progress:
        living = {job: states.get(job, UNKNOWN) for job in self._live}
        at_work = Counter(state.status for state in living.values())["running"]
        left = None
        if self._took and at_work:
            left = mean(self._took) * (len(self._live) + len(self._pending)) / at_work
        called = {self.queue.called(job): state for job, state in living.items()}
        waiting = {f"batch {number}": JobState("queued") for number in range(len(self._pending))}
        return Progress(called | waiting, self._ended, len(self._elsewhere), left)

    def _named(self, jobs: Iterable[str]) -> str:
        listed = list(jobs)
        more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
        return ", ".join(self.queue.called(one) for one in listed[:MOST_NAMED]) + more

    def _say(self, line: str) -> None:
        print(f"mia: {line}", file=sys.stderr, flush=True)
