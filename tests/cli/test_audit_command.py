"""`mia audit` as typed: what it writes, what it refuses, what it leaves in the store."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mia.plans import make_plan
from mia.tracking import Tracker, TrackingOptions


def test_an_audit_of_the_files_contract_writes_scores_and_metrics(mia, shared_home, tmp_path):
    generator = np.random.default_rng(0)
    member = generator.integers(0, 2, (5, 90)).astype(np.int8)
    logits = generator.normal(size=(5, 90, 3))
    labels = generator.integers(0, 3, 90)
    logits[:, np.arange(90), labels] += 2 * member
    target_member = member[0].copy()
    target_member[:10] = -1
    np.savez(
        tmp_path / "signals.npz",
        target_logits=logits[0],
        target_member=target_member,
        labels=labels,
        shadow_logits=logits[1:],
        shadow_member=member[1:],
    )
    out = tmp_path / "out"
    code, printed, _ = mia(shared_home, "audit", f"signals={tmp_path / 'signals.npz'}", f"out={out}")
    assert code == 0
    assert "lira_online" in printed
    with np.load(out / "scores.npz", allow_pickle=False) as scores:
        np.testing.assert_array_equal(scores["index"], np.arange(10, 90))
        assert scores["lira_online"].shape == (80,)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["attack/loss/auc"] > 0.7
    rows = list(csv.DictReader((out / "records.csv").read_text().splitlines()))
    assert len(rows) == 80


def test_an_audit_refuses_names_that_are_nearly_right(mia, shared_home, tmp_path):
    arrays = {"target_logits": np.zeros((6, 2)), "target_member": np.arange(6) % 2, "labels": np.zeros(6, int)}
    strange = {"shadow_logit": np.zeros((1, 6, 2)), "shadow_members": np.zeros((1, 6))}
    for content, named in (
        (arrays | strange, "'shadow_logit', which is none of"),
        ({k: v for k, v in arrays.items() if k != "target_member"}, "there is no target_member [N]"),
    ):
        np.savez(tmp_path / "typo.npz", **content)
        code, _, err = mia(shared_home, "audit", f"signals={tmp_path / 'typo.npz'}", f"out={tmp_path / 'typo'}")
        assert (code, named in err) == (2, True), err
    np.savez(tmp_path / "more.npz", **arrays, labels_coarse=np.zeros(6))  # one's own, and nothing is missing
    assert mia(shared_home, "audit", f"signals={tmp_path / 'more.npz'}", f"out={tmp_path / 'more'}")[0] == 0


def test_an_audit_without_shadows_says_what_its_thresholds_are_worth(mia, shared_home, tmp_path):
    generator = np.random.default_rng(0)
    np.savez(
        tmp_path / "alone.npz",
        target_probabilities=generator.dirichlet(np.ones(3), 50),
        target_member=np.arange(50) % 2,
        labels=generator.integers(0, 3, 50),
    )
    code, printed, _ = mia(shared_home, "audit", f"signals={tmp_path / 'alone.npz'}", f"out={tmp_path / 'out'}")
    assert code == 0
    assert "calibrated on nothing" in " ".join(printed.split())
    code, _, err = mia(
        shared_home, "audit", f"signals={tmp_path / 'alone.npz'}", f"out={tmp_path / 'no'}", "attack=[lira_online]"
    )
    assert code == 2
    assert "lira_online" in err
    assert not (tmp_path / "no").exists()


@pytest.fixture
def predictions(tmp_path):
    """A file of four shadows and 60 records, without any signal."""
    generator = np.random.default_rng(0)
    member = generator.integers(0, 2, (5, 60)).astype(np.int8)
    path = tmp_path / "predictions.npz"
    np.savez(
        path,
        target_logits=generator.normal(size=(60, 3)),
        target_member=member[0],
        labels=generator.integers(0, 3, 60),
        shadow_logits=generator.normal(size=(4, 60, 3)),
        shadow_member=member[1:],
    )
    return path


def test_an_audit_that_fails_is_in_the_store_with_its_traceback(mia, shared_home, predictions, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("halfway through")

    monkeypatch.setattr("mia.experiment.attacking.run_attack", fail)
    code, _, err = mia(shared_home, "audit", f"signals={predictions}", f"out={tmp_path / 'out'}")
    assert (code, "halfway through" in err) == (1, True)
    tracker = Tracker.open(TrackingOptions(), shared_home)
    run = tracker.runs(kind="audit", limit=1)[0]
    assert run.status == "FAILED"
    assert "ZeroDivisionError" in tracker.artifact(run.id, "traceback.txt").read_text()


def test_growth_is_there_for_audits_too(mia, shared_home, predictions, tmp_path):
    out = tmp_path / "out"
    request = ("attack=[loss,calibration]", "attack.growth=true")
    assert mia(shared_home, "audit", f"signals={predictions}", f"out={out}", *request)[0] == 0
    rows = list(csv.DictReader((out / "growth.csv").read_text().splitlines()))
    assert [row["shadows"] for row in rows if row["attack"] == "calibration"] == ["1", "2", "4"]


UNTRACKED = "tracking.enabled=false"


@pytest.fixture
def leaky(tmp_path):
    """A plan, and logits that know their members."""
    generator = np.random.default_rng(0)
    plan = make_plan(400, num_shadows=4)
    labels = generator.integers(0, 3, 400)
    logits = generator.normal(size=(5, 400, 3))
    logits[:, np.arange(400), labels] += 2 * plan.member
    (tmp_path / "predictions").mkdir()
    for model in range(5):
        np.save(tmp_path / "predictions" / f"{model}.npy", logits[model])
    plan.save(tmp_path / "plan.npz")
    np.save(tmp_path / "labels.npy", labels)
    member, loss = plan.member, -np.log(np.exp(logits)[:, np.arange(400), labels] / np.exp(logits).sum(-1))
    np.savez(tmp_path / "turns.npz", logits=logits, member=member, labels=labels)
    np.savez(tmp_path / "losses.npz", target_loss=loss[0], target_member=member[0], shadow_loss=loss[1:],
             shadow_member=member[1:])  # fmt: skip
    np.savez(tmp_path / "scores.npz", member=member[0], theirs=-loss[0])
    np.savez(tmp_path / "one.npz", target_logits=logits[0], target_member=member[0], labels=labels,
             shadow_logits=logits[1:], shadow_member=member[1:])  # fmt: skip
    return roc_auc_score(member[0], -loss[0])


FORMS = {
    "one": ["signals={}/one.npz"],
    "plan": ["plan={}/plan.npz", "predictions={}/predictions", "labels={}/labels.npy"],
    "losses": ["signals={}/losses.npz"],
    "turns": ["signals={}/turns.npz"],
    "scores": ["scores={}/scores.npz"],
}


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (("A \u00fc", "A \u00f6"), "would both be 'A _' in MLflow"),
        (("a_b", "a+b"), "would both be 'a_b' in MLflow"),
        (("m" * 181,), "at most 180 letters"),
    ],
    ids=["umlauts", "signs", "long"],
)
def test_scores_that_mlflow_could_not_keep_apart_are_refused(mia, tmp_path, names, named):
    score = np.arange(40)[::-1]
    np.savez(tmp_path / "scores.npz", member=np.repeat([1, 0], 20), **{name: score - k for k, name in enumerate(names)})
    request = ("audit", f"scores={tmp_path / 'scores.npz'}", f"out={tmp_path / 'out'}")
    code, _, err = mia(tmp_path / "mlruns", *request)
    assert (code, named in err, "tracking.enabled=false" in err) == (2, True, True), err
    assert not (tmp_path / "mlruns").exists()
    assert not (tmp_path / "out").exists()
    assert mia(tmp_path / "mlruns", *request, UNTRACKED)[0] == 0
    with np.load(tmp_path / "out" / "scores.npz") as kept:
        assert set(kept) == {"index", *names}


def test_a_score_with_the_longest_name_keeps_all_its_metrics(mia, shared_home, tmp_path):
    name = "m" * 180
    np.savez(
        tmp_path / "scores.npz", **{"member": np.repeat([1, 0], 20), name: np.arange(40)[::-1]}, groups=np.arange(40)
    )
    out = tmp_path / "out"
    assert mia(shared_home, "audit", f"scores={tmp_path / 'scores.npz'}", f"out={out}")[0] == 0
    run = Tracker.open(TrackingOptions(), shared_home).runs(kind="audit", limit=1)[0]
    assert set(json.loads((out / "metrics.json").read_text())) <= set(run.metrics)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_area_of_an_independent_computation(mia, tmp_path, leaky, form):
    request = [one.format(tmp_path) for one in FORMS[form]]
    out = tmp_path / "out"
    code, printed, err = mia(tmp_path / "mlruns", "audit", *request, f"out={out}", "attack=quick", UNTRACKED)
    assert (code, err.count("error")) == (0, 0), err
    assert "tells who was in its training set" in " ".join(printed.split())
    metrics = json.loads((out / "metrics.json").read_text())
    name = "theirs" if form == "scores" else "loss"
    assert metrics[f"attack/{name}/auc"] == pytest.approx(leaky, abs=0.1 if form == "turns" else 1e-3)
    assert ("attack/loss/auc_sd" in metrics) == (form == "turns")
    assert {"records.csv", "scores.npz", "model-card.md"} <= {path.name for path in out.iterdir()}
    assert not (tmp_path / "mlruns").exists()


def test_the_card_counts_each_shadow_once(mia, tmp_path, leaky):
    out = tmp_path / "out"
    request = [f"signals={tmp_path}/one.npz", f"out={out}", "attack=[loss,shadow_svm]", "attack.shadow_svm.grid=study"]
    assert mia(tmp_path / "mlruns", "audit", *request, UNTRACKED)[0] == 0
    assert "; 4 shadow models stood behind the scores" in (out / "model-card.md").read_text()


def test_a_folder_holds_one_audit_alone(mia, shared_home, tmp_path, leaky):
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.html").write_text("a person's: no result was written here before")
    request = [f"signals={tmp_path}/one.npz", f"out={out}", "attack=[loss,calibration]"]
    assert mia(shared_home, "audit", *request, "attack.growth=true")[0] == 0
    names = {path.name for path in out.iterdir()}
    assert {"growth.csv", "audit.html"} <= names
    assert (out / "run.html").read_text().startswith("a person's")
    (out / "own.txt").write_text("a person's")
    assert mia(shared_home, "audit", *request, UNTRACKED)[0] == 0
    assert {path.name for path in out.iterdir()} == names - {"growth.csv", "run.html"} | {"own.txt"}


@pytest.mark.parametrize(
    ("limits", "code", "named"),
    [
        (["limit.auc=0.6"], 3, "limit.auc=0.6 is exceeded: "),
        (["limit.auc=0.999"], 0, ""),
        (["limit.advantage=0.1", "limit.auc=1"], 3, "limit.advantage=0.1 is exceeded"),
        (["limit.tpr_at_0.1pct_fpr=0.01"], 0, "limit.tpr_at_0.1pct_fpr=0.01 was not checked"),  # 200 non-members
        (["limit.epsilon=50"], 0, ""),
        (["limit.auc=2"], 2, "limit.auc=2"),
        (["limit.au=0.6"], 2, "did you mean 'limit.auc'"),
    ],
)
def test_the_gate(mia, tmp_path, leaky, limits, code, named):
    request = (f"signals={tmp_path / 'one.npz'}", f"out={tmp_path / 'out'}", "attack=[loss]", UNTRACKED)
    found, _, err = mia(tmp_path / "mlruns", "audit", *request, *limits)
    assert (found, named in err) == (code, True), err


def test_presets_and_what_is_left_out(mia, tmp_path, leaky):
    def scored(*request):
        out = tmp_path / "out"
        code, _, err = mia(
            tmp_path / "mlruns", "audit", f"signals={tmp_path / 'one.npz'}", f"out={out}", UNTRACKED, *request
        )
        assert code == 0, err
        with np.load(out / "scores.npz") as scores:
            return set(scores.files) - {"index"}

    quick = scored("attack=quick")
    assert {"gap", "loss", "lira_online", "rmia_offline"} <= quick
    assert not any(name.startswith("shadow_") for name in quick)
    assert scored("~attack.shadow_svm", "~attack.gap") == quick - {"gap"}
    assert scored("attack=[loss,gap]", "~attack.gap") == {"loss"}
    code, _, err = mia(tmp_path / "mlruns", "audit", f"signals={tmp_path / 'one.npz'}", "out=x", "~attack.gapp")
    assert (code, "did you mean 'gap'" in err) == (2, True)


def test_the_quick_attacks_are_shown_before_the_slow_ones_begin(mia, tmp_path, leaky):
    request = (f"signals={tmp_path / 'one.npz'}", f"out={tmp_path / 'out'}", UNTRACKED)
    code, _, err = mia(tmp_path / "mlruns", "audit", *request, "attack=[shadow_logistic,loss,gap]")
    assert code == 0
    shown = [line.split(":")[0] for line in err.splitlines() if "AUC" in line]
    assert shown == ["gap", "loss", "shadow_logistic"]


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ([], "nothing is given to audit"),
        (["signals={}/one.npz", "scores={}/scores.npz"], "signals= and scores= is given"),
        (["plan={}/plan.npz", "labels={}/labels.npy"], "needs predictions=DIR"),
        (["plan={}/plan.npz", "predictions={}/predictions"], "needs labels=FILE"),
        (
            ["plan={}/plan.npz", "predictions={}/predictions", "labels={}/labels.npy", "kind=logit"],
            "did you mean 'logits'",
        ),
        (["signals={}/one.npz", "kind=foo"], "kind=foo cannot stand beside signals="),
        (["signals={}/losses.npz", "kind=losses"], "kind=losses cannot stand beside signals="),
        (
            ["signals={}/one.npz", "predictions=x", "labels=y"],
            "predictions=x and labels=y cannot stand beside signals=",
        ),
        (["scores={}/scores.npz", "kind=logits"], "kind=logits cannot stand beside scores="),
        (["signals={}/none.npz"], "does not exist"),
        (["signals={}/labels.npy"], "unknown format"),
        (["signals={}/one.npz", "out="], "out= is empty"),
        (["signals={}/one.npz", "out={}/labels.npy"], "no folder"),
        (["signals={}/one.npz", "out={}/labels.npy/deeper"], "no folder"),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_meant_is_refused_before_anything_runs(mia, tmp_path, leaky, request_, named):
    given = [one.format(tmp_path) for one in request_]
    given += [] if any(one.startswith("out=") for one in given) else [f"out={tmp_path / 'out'}"]
    code, printed, err = mia(tmp_path / "mlruns", "audit", *given)
    assert (code, printed, err.count("\n")) == (2, "", 1), err
    assert named in err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "mlruns").exists()


def test_an_audit_of_nothing_says_what_it_takes(mia, tmp_path):
    code, _, err = mia(tmp_path / "mlruns", "audit")
    assert code == 2
    for word in ("out=DIR", "signals=FILE", "plan=FILE with predictions=DIR", "scores=FILE"):
        assert word in err


def test_a_plan_is_written_and_says_how_it_goes_on(mia, tmp_path):
    plan = tmp_path / "plan.npz"
    code, printed, _ = mia(
        tmp_path, "plan", "records=100", "split=pool", "split.num_shadows=4", "seed=3", f"out={plan}"
    )
    assert code == 0
    assert "mia audit" in printed
    np.testing.assert_array_equal(np.load(plan)["member"], make_plan(100, 4, seed=3).member)
    code, printed, _ = mia(tmp_path, "plan", "records=100", f"out={plan}", "framework=torch")
    assert code == 0
    compile(printed, "printed", "exec")
    assert mia(tmp_path, "plan", "records=100", "split=canary", "split.canaries=30", f"out={plan}")[0] == 0
    assert np.load(plan)["canaries"].shape == (30,)
    np.save(tmp_path / "labels.npy", np.arange(100) % 5)
    wrong = ["split=canary", "split.canaries=30", "split.mislabel=true", f"labels={tmp_path / 'labels.npy'}"]
    code, printed, _ = mia(tmp_path, "plan", "records=100", *wrong, f"out={plan}")
    assert code == 0
    assert "30 canaries have wrong labels" in printed
    assert np.count_nonzero(np.load(plan)["labels"] != np.arange(100) % 5) == 30
    assert mia(tmp_path, "plan", "records=100", "split.size=20", f"out={plan}")[0] == 0
    assert (np.load(plan)["member"] == 1).sum(axis=1).tolist() == [20] * 17
    for wrong, named in (
        (["split.size=80"], "at most split.size=50\n"),
        (["split=disjoint", "split.size=30"], "at most split.size=25\n"),  # overlap would not help
        (["split=disjoint", "split.overlap=true"], "split.overlap=true is for runs"),
        (["split=pool", "split.num_targets=2"], "split.num_targets=2 is for runs"),
        (["records=100000000000000"], "records=100000000000000 with split.num_shadows=16 needs"),
        (["framework=jax"], "framework='jax'"),
        (["split=pol"], "split=pol is not known"),
        (["split=canary", "split.mislabel=true"], "needs labels="),
        ([f"out={plan}/x.npz"], "no folder"),
        ([f"out={tmp_path}"], "is a folder"),
        (["out="], "out= is empty"),
    ):
        code, _, err = mia(tmp_path, "plan", "records=100", *wrong)
        assert (code, named in err) == (2, True), err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shift", "one_run", "fdp"), [(1, 1.13346, 2.164749), (2, 2.311945, 4.7218075), (4, 4.395568, 9.133752)]
)
@pytest.mark.parametrize("per_record", [False, True])
def test_scores_of_canaries_give_bounds_where_the_file_says_that_coins_were_thrown(
    mia, tmp_path, shared_home, shift, one_run, fdp, per_record
):
    """Normal quantiles on each side; the published numbers are of 10,000 of them."""
    from scipy.special import ndtri

    quantiles = ndtri((np.arange(10_000) + 0.5) / 10_000)
    coins = np.ones(20_000, bool) if per_record else True
    arrays = {"member": np.repeat([1, 0], 10_000), "mine": np.concatenate([quantiles + shift, quantiles])}
    np.savez(tmp_path / "scores.npz", **arrays, independent=coins)
    request = (f"scores={tmp_path / 'scores.npz'}", "audit.delta=1e-6", "audit.confidence=0.95", UNTRACKED)
    out = tmp_path / "out"
    code, printed, err = mia(shared_home, "audit", *request, f"out={out}")
    assert code == 0, err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["attack/mine/epsilon_one_run"] == pytest.approx(one_run, abs=2e-5)
    assert metrics["attack/mine/epsilon_one_run_fdp"] == pytest.approx(fdp, abs=2e-5)
    assert metrics["privacy/epsilon_lower_bound"] == pytest.approx(one_run, abs=2e-5)
    assert f"Audited: epsilon is at least {one_run:.3g}" in " ".join(printed.split())


def test_scores_without_coins_say_why_there_is_no_bound(mia, tmp_path, shared_home):
    np.savez(tmp_path / "scores.npz", member=np.repeat([1, 0], 50), mine=np.arange(100)[::-1])
    out = tmp_path / "out"
    code, printed, err = mia(shared_home, "audit", f"scores={tmp_path / 'scores.npz'}", f"out={out}", UNTRACKED)
    assert code == 0, err
    assert "no bound on epsilon" in " ".join(printed.split())
    assert "epsilon" not in "".join(json.loads((out / "metrics.json").read_text()))
    fewer = np.arange(100) >= 40  # of which coins drew 10 members and 50 non-members: coins do not do that
    np.savez(tmp_path / "scores.npz", member=np.repeat([1, 0], 50), mine=np.arange(100)[::-1], independent=fewer)
    code, printed, _ = mia(shared_home, "audit", f"scores={tmp_path / 'scores.npz'}", f"out={out}", UNTRACKED)
    assert code == 0
    assert "10 of 60 records are members, which fair coins do not give" in " ".join(printed.split())
