"""A sweep on a real SLURM, PostgreSQL and MLflow server, and what goes wrong with them: nothing lost, nothing twice."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ENDLESS
from virtual_cluster import OWN, free_ports

TOLD_WITHIN = 30.0
BOTH = pytest.mark.parametrize("cluster", ["without accounting", "with accounting"], indirect=True)


def is_begun(desk, count=1):
    """A condition: so many runs have begun to train."""
    return lambda: len(desk.running()) >= count


def finished_once(desk, configurations):
    """Check that each configuration has one finished run, and nothing is left open."""
    finished = [run["tags"]["mia.fingerprint"] for run in desk.runs() if run["status"] == "FINISHED"]
    assert len(finished) == len(set(finished)) == configurations
    assert not desk.running()


def test_a_healthy_sweep_of_real_training_and_the_same_command_again(desk):
    code, _, err = desk.end_of(desk.sweep("train.l2=0,1e-3", fake=False))
    assert code == 0, err
    assert "0 reused, 2 trained, 0 failed" in err
    assert re.search(r"sent .*SLURM job \d+_0", err)
    finished_once(desk, 2)
    assert desk.statuses("sweep") == ["FINISHED"]
    (sweep,) = desk.runs("sweep")
    assert [len(one["ids"]) for one in desk.ledger(sweep)] == [2]
    assert {run["tags"]["mia.job"].split(":")[:2] == ["slurm", "trial"] for run in desk.runs()} == {True}
    assert desk.folders() == []

    jobs = desk.jobs()
    code, _, err = desk.end_of(desk.sweep("train.l2=0,1e-3"))
    assert (code, "2 reused, 0 trained, 0 failed" in err) == (0, True)
    code, _, err = desk.end_of(desk.sweep("train.l2=0,1e-3,1e-2"))
    assert (code, "2 reused, 1 trained, 0 failed" in err) == (0, True)
    assert len(desk.jobs()) == len(jobs) + 1, "only what is missing is queued"


@BOTH
def test_one_cancelled_job_fails_with_its_reason_and_the_others_go_on(desk):
    process = desk.sweep(f"train.test_records=300,310,320,{ENDLESS}")
    desk.wait(lambda: any(run["params"].get("train.test_records") == str(ENDLESS) for run in desk.running()), "its run")
    (victim,) = [run for run in desk.running() if run["params"].get("train.test_records") == str(ENDLESS)]
    job = victim["tags"]["mia.job"].split(":")[2]
    desk.cluster.ask("scancel", job)
    code, _, err = desk.end_of(process)
    assert code == 1
    assert "0 reused, 3 trained, 1 failed" in err, err
    assert f"SLURM job {job}" in err
    assert "CANCELLED" in err
    finished_once(desk, 3)
    (failed,) = [run for run in desk.runs() if run["status"] != "FINISHED"]
    assert (failed["id"], failed["status"]) == (victim["id"], "FAILED")
    assert "CANCELLED" in failed["tags"]["mia.error"]
    states = desk.jobs()
    assert [states.pop(job), *set(states.values())] == ["CANCELLED", "COMPLETED"], "SLURM, too, says that they are well"
    assert desk.folders() == []


@BOTH
def test_all_jobs_cancelled_is_told_soon(desk):
    process = desk.sweep(f"train.test_records={','.join(str(ENDLESS + one) for one in range(5))}")
    desk.wait(is_begun(desk, 3), "three runs")
    desk.cluster.ask("scancel", "--user=root")
    begun = time.monotonic()
    code, _, err = desk.end_of(process, TOLD_WITHIN + 30)
    assert time.monotonic() - begun < TOLD_WITHIN
    assert (code, "0 trained, 5 failed" in err) == (1, True), err
    assert set(desk.statuses()) == {"FAILED"}
    assert len(desk.runs()) == 5, "those that had not begun have a run that says why"
    assert not [said for run in desk.runs() if "CANCELLED" not in (said := run["tags"].get("mia.error", ""))]


def test_a_lost_node_closes_its_run_and_the_job_is_made_again(desk):
    process = desk.sweep("train.test_records=400,410")
    desk.wait(is_begun(desk, 2), "two runs")
    lost = desk.running()[0]
    node = lost["tags"]["mia.host"]
    desk.cluster.end(node)
    try:
        code, _, err = desk.end_of(process)
    finally:
        desk.cluster.node_up(node)
        desk.wait(lambda: desk.cluster.ask("sinfo", "-hNt", "idle").count("\n") == 3, "the node")
    assert code == 0, err
    finished_once(desk, 2)
    (killed,) = [run for run in desk.runs() if run["status"] != "FINISHED"]
    assert (killed["id"], killed["status"]) == (lost["id"], "KILLED")
    assert "SLURM job" in killed["tags"]["mia.error"]


def test_a_requeued_job_goes_on_from_the_pool(desk):
    process = desk.sweep("train.test_records=400", "hydra/launcher=slurm_preemptible")
    desk.wait(lambda: list(desk.home.glob("pools/*/0000.safetensors")), "the first of two models")
    (first,) = desk.running()
    job = first["tags"]["mia.job"].split(":")[2]
    desk.cluster.ask("scontrol", "requeue", job)
    code, _, err = desk.end_of(process)
    assert code == 0, err
    finished_once(desk, 1)
    assert desk.statuses() == ["FINISHED", "KILLED"]
    killed, again = desk.runs()
    assert (killed["id"], again["tags"]["mia.job"]) == (first["id"], first["tags"]["mia.job"]), "the same job"
    assert desk.jobs().keys() == {job}
    assert (desk.metric(again, "pool/models_reused"), desk.metric(again, "pool/models_trained")) == (1, 1)


def test_whoever_looks_closes_the_runs_of_jobs_that_are_gone(desk):
    process = desk.sweep(f"train.test_records={ENDLESS}")
    desk.wait(is_begun(desk), "a run")
    process.kill()
    process.communicate()
    (run,) = desk.running()
    code, out, err = desk.end_of(desk.start("status", *desk.store))
    assert code == 1  # the submitter has died
    assert f"on {run['tags']['mia.host']}" in out, (out, err)
    assert "epoch" in out or "starting" in out or "train" in out
    desk.kill_workers()
    desk.wait(lambda: not desk.queue(), "its end")
    assert desk.statuses() == ["RUNNING"]
    code, out, _ = desk.end_of(desk.start("status", *desk.store))
    assert (code, desk.statuses()) == (1, ["KILLED"]), out
    (run,) = desk.runs()
    assert "SLURM job" in run["tags"]["mia.error"]
    assert desk.statuses("sweep") == ["KILLED"]


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "sigterm"])
def test_an_interrupted_submitter_cancels_its_jobs(desk, signal_):
    process = desk.sweep(f"train.test_records={','.join(str(ENDLESS + one) for one in range(4))}")
    desk.wait(is_begun(desk, 3), "three runs")
    os.killpg(process.pid, signal_)
    code, _, err = desk.end_of(process)
    assert code == 130, err
    assert "cancelling" in err
    assert "engine.on_interrupt=leave" in err
    assert not desk.queue()
    assert set(desk.statuses()) == {"KILLED"}
    assert desk.statuses("sweep") == ["KILLED"]
    assert desk.folders() == []


def test_jobs_that_are_left_at_ctrl_c_are_found_by_the_same_command(desk):
    typed = ["train.test_records=500,510,520,530", "engine.on_interrupt=leave"]
    process = desk.sweep(*typed)
    desk.wait(is_begun(desk, 3), "three runs")
    os.killpg(process.pid, signal.SIGINT)
    code, _, err = desk.end_of(process)
    assert (code, "left" in err) == (130, True), err
    before = desk.queue()
    assert len(before) == 4
    code, _, err = desk.end_of(desk.sweep(*typed))
    assert code == 0, err
    assert "waiting for them" in err
    finished_once(desk, 4)
    assert desk.jobs().keys() == before.keys(), "nothing was queued again"


def test_a_killed_submitter_and_the_same_command_again(desk):
    typed = ["train.test_records=300,310,320,330,340,2"]
    process = desk.sweep(*typed)
    desk.wait(is_begun(desk, 3), "three runs")
    process.kill()
    process.communicate()
    before = desk.queue()
    assert desk.folders(), "the jobs that wait need it"
    code, _, err = desk.end_of(desk.sweep(*typed))
    assert code == 0, err
    finished_once(desk, 6)
    assert len(desk.runs()) == 6
    (sweep,) = desk.runs("sweep")
    assert (sweep["status"], "mia.error" in sweep["tags"]) == ("FINISHED", False)
    assert before.keys() <= desk.jobs().keys()
    assert len(desk.jobs()) == 6, "nothing was queued twice"
    assert desk.folders() == []


def test_two_submitters_with_overlapping_grids_make_one_run_of_each(desk):
    one = desk.sweep("train.test_records=200,210,220")
    other = desk.sweep("train.test_records=210,220,230")
    for process in (one, other):
        code, _, err = desk.end_of(process)
        assert code == 0, err
    finished_once(desk, 4)
    assert len(desk.runs()) == 4
    sweeps = [f"mia.sweep.{run['id']}" for run in desk.runs("sweep")]
    assert [sum(name in run["tags"] for run in desk.runs()) for name in sweeps] == [3, 3]


def test_one_job_runs_several_configurations_and_a_failing_one_fails_alone(desk):
    code, _, err = desk.end_of(
        desk.sweep("train.learning_rate=1e-3,1e38,1e-2", "engine.configurations_per_job=3", fake=False)
    )
    assert code == 1
    assert "0 reused, 2 trained, 1 failed" in err, err
    assert len(desk.jobs()) == 1
    (failed,) = [run for run in desk.runs() if run["status"] == "FAILED"]
    assert "DivergedError" in failed["tags"]["mia.error"]


def test_a_time_limit_fails_with_its_reason_and_the_same_command_goes_on(desk):
    limit = ["hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=15"]  # SLURM tells up to a minute sooner
    code, _, err = desk.end_of(desk.sweep(f"train.test_records=2,{ENDLESS}", *limit), 300)
    assert code == 1, err
    assert "1 trained, 1 failed" in err, err
    assert not desk.running()
    (failed,) = [run for run in desk.runs() if run["status"] == "FAILED"]
    assert "hydra.launcher.timeout_min" in failed["tags"]["mia.error"]
    assert desk.folders() == []


def test_the_server_away_for_a_while_delays_jobs_and_loses_nothing(desk):
    process = desk.sweep("train.test_records=200,210,220,230,240")
    desk.wait(is_begun(desk, 2), "two runs")
    desk.cluster.end("mlflow")
    time.sleep(25)
    desk.cluster.mlflow_up()
    code, _, err = desk.end_of(process)
    assert code == 0, err
    finished_once(desk, 5)
    assert len(desk.runs()) == 5


def test_jobs_wait_for_a_server_no_longer_than_is_said(desk):
    process = desk.sweep("train.test_records=200,210,220,230", "tracking.patience=15")
    desk.wait(is_begun(desk, 3), "three runs")
    desk.cluster.end("mlflow")
    code, _, err = desk.end_of(process)
    desk.cluster.mlflow_up()
    assert code == 1
    assert "tracking.patience=15" in err, err
    code, _, err = desk.end_of(desk.sweep("train.test_records=200,210,220,230", "tracking.patience=15"))
    assert code == 0, err
    finished_once(desk, 4)


def test_the_database_away_for_a_while_loses_nothing(desk):
    process = desk.sweep("train.test_records=200,210,220,230")
    desk.wait(is_begun(desk, 2), "two runs")
    desk.cluster.end("postgres")
    time.sleep(15)
    desk.cluster.postgres_up()
    code, _, err = desk.end_of(process)
    assert code == 0, err
    finished_once(desk, 4)


def test_what_a_person_sees_and_what_jobs_ask_for(desk):
    process = desk.sweep(f"train.test_records={','.join(str(600 + one) for one in range(4))}")
    desk.wait(is_begun(desk, 3), "three runs")
    desk.wait(lambda: any("epoch" in run["tags"].get("mia.doing", "") for run in desk.running()), "word of an epoch")
    job = next(iter(desk.queue()))
    asked = desk.cluster.ask("scontrol", "show", "job", job)
    assert "NumCPUs=2" in asked, "a target and a shadow"
    assert re.search(r"MinMemoryNode=[4-7]G", asked)
    code, out, err = desk.end_of(desk.start("status", *desk.store))
    assert code == 0, (out, err)
    assert "3 running" in out
    assert "1 queued" in out
    assert re.search(r"on n[123].* epoch \d+/60\d", out), out
    code, _, err = desk.end_of(process)
    assert code == 0, err
    assert re.search(r"4 jobs: .*pending", err), err
    code, out, _ = desk.end_of(
        desk.start(
            *desk.store,
            *("split.size=20", "attack=[gap]", "model.hidden=[4]", "train.test_records=2", "train.epochs=2"),
        )
    )
    assert code == 0, (out, err)
    assert desk.cluster.uri in out
    home = desk.home / "pools"
    pools = len(list(home.iterdir()))
    code, out, _ = desk.end_of(desk.start("pools", "prune=true", "yes=true"))
    assert (code, len(list(home.iterdir()))) == (0, pools), out


def test_jobs_that_start_while_the_server_is_down_wait_for_it(desk):
    desk.cluster.ask("scontrol", "update", "partitionname=main", "state=down")
    try:
        process = desk.sweep("train.test_records=20,21")
        desk.wait(lambda: [len(one["ids"]) for run in desk.runs("sweep") for one in desk.ledger(run)] == [2], "them")
        desk.cluster.end("mlflow")
    finally:
        desk.cluster.ask("scontrol", "update", "partitionname=main", "state=up")
    desk.wait(lambda: list(desk.queue().values()) == ["RUNNING", "RUNNING"], "their start")
    time.sleep(15)
    assert list(desk.queue().values()) == ["RUNNING", "RUNNING"], "they wait"
    assert not desk.runs()
    desk.cluster.mlflow_up()
    code, _, err = desk.end_of(process)
    assert code == 0, err
    finished_once(desk, 2)
    assert len(desk.runs()) == 2


def test_the_recipe_is_typed_line_by_line(desk, tmp_path):
    page = (OWN / ".readme" / "cluster.md").read_text()
    lines = page.partition("```bash\n")[2].partition("```")[0].splitlines()
    first = f"export SHARED={desk.home} HOST=127.0.0.1 PORT={free_ports(1)[0]}"
    typed = [first, *(line for line in lines[1:] if "venv" not in line and not line.startswith("pip install"))]
    assert len(typed) == len(lines) - 2
    given = {"PGHOST": "127.0.0.1", "PGPORT": str(desk.cluster.ports["postgres"]), "PGUSER": "postgres"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = "\n".join(["set -e", "trap 'kill $(jobs -p)' EXIT", *typed])
    done = subprocess.run(
        ["bash", "-c", script], env=desk.cluster.environment | given | {"PATH": path}, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 reused, 3 trained, 0 failed" in done.stderr
    assert "3 of 3 done" in done.stdout
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000
    assert set(desk.jobs().values()) == {"COMPLETED"}
