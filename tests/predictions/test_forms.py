"""Several arrays together: each form gives the targets that are meant, with sound shadows behind them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm

from mia.attacks.shared_statistics import shared_statistics
from mia.checks import RequestError
from mia.outputs import check_writable
from mia.plans import find_complements, make_plan
from mia.predictions.audit import make_audit_of_scores
from mia.predictions.forms import make_audit
from mia.predictions.planned import audit_of_plan, files_of_models, read_plan
from mia.predictions.reversed import _is_worse

RECORDS, CLASSES = 40, 3


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    member = generator.integers(0, 2, (5, RECORDS))
    logits = generator.normal(size=(5, RECORDS, CLASSES)).astype(np.float32)
    return {
        "target_logits": logits[0],
        "target_member": member[0],
        "labels": generator.integers(0, CLASSES, RECORDS),
        "shadow_logits": logits[1:],
        "shadow_member": member[1:],
    }


def test_a_target_and_shadows_are_one_task(arrays):
    arrays["target_member"][:7] = -1
    arrays["index"] = np.array([f"person {k}" for k in range(RECORDS)])
    arrays["groups"] = np.arange(RECORDS) // 2
    arrays["slice_age"] = np.arange(RECORDS) % 5
    (task,) = make_audit(arrays).tasks
    assert task.index.tolist() == arrays["index"][7:].tolist()
    np.testing.assert_array_equal(task.is_member, arrays["target_member"][7:] == 1)
    np.testing.assert_array_equal(task.groups, arrays["groups"][7:])
    np.testing.assert_array_equal(task.slices["age"], arrays["slice_age"][7:])
    np.testing.assert_array_equal(task.signals.shadow_outputs, arrays["shadow_logits"])
    assert not np.any(task.is_independent)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": None}, "no labels"),
        ({"target_member": None}, "no target_member"),
        ({"target_logits": None}, "one of target_logits"),
        ({"target_probabilities": np.full((RECORDS, CLASSES), 1 / 3)}, "there are 2"),
        ({"shadow_member": None}, "there together"),
        ({"shadow_logits": np.zeros((4, RECORDS, CLASSES + 1))}, "never saw a class"),
        ({"population_logits": np.zeros((4, 9, CLASSES)), "population_labels": np.zeros(9, int)}, r"\(5, Z, 3\)"),
        ({"class_names": ["a", "b"]}, "2 names for 3 classes"),
        ({"index": np.arange(3)}, r"index has shape \(3,\)"),
        ({"independent": [True, False]}, "one true or false, or one for each of"),
        ({"target_member": np.full(RECORDS, -1)}, "nothing to evaluate"),
        ({"shadow_member": None, "shadow_members": np.zeros((4, RECORDS))}, "did you mean 'shadow_member'"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(arrays, changed, message):
    given = {name: value for name, value in {**arrays, **changed}.items() if value is not None}
    with pytest.raises(RequestError, match=message) as refused:
        make_audit(given)
    assert "\n" not in str(refused.value)


def test_halves_drawn_by_hand_are_counted_and_a_plan_is_named(arrays):
    arrays["shadow_member"][:, :3] = 1
    lines = " ".join(make_audit(arrays).warnings)
    lacking = ((arrays["shadow_member"] == 1).all(0) | (arrays["shadow_member"] == 0).all(0)).sum()
    assert f"{lacking} of {RECORDS} records have no shadow trained with them, or none without" in lines
    assert "mia plan" in lines


def test_without_shadows_it_says_what_that_costs(arrays):
    alone = {name: value for name, value in arrays.items() if not name.startswith("shadow")}
    assert any("there are no shadows" in line for line in make_audit(alone).warnings)


def test_the_targets_complement_is_no_shadow(arrays):
    arrays["shadow_member"][1] = 1 - arrays["target_member"]
    audit = make_audit(arrays)
    np.testing.assert_array_equal(audit.tasks[0].signals.shadow_outputs, arrays["shadow_logits"][[0, 2, 3]])
    assert any("complement" in line for line in audit.warnings)


def test_every_model_in_turn_has_all_others_but_its_complement_as_shadows():
    plan = make_plan(RECORDS, num_shadows=4)
    logits = np.random.default_rng(0).normal(size=(5, RECORDS, CLASSES))
    turns = make_audit({"logits": logits, "member": plan.member, "labels": np.zeros(RECORDS, int)}).tasks
    assert len(turns) == 5
    for target, shadows in enumerate([[1, 2, 3, 4], [0, 3, 4], [0, 3, 4], [0, 1, 2], [0, 1, 2]]):
        task = turns[target]
        assert task.target == target
        np.testing.assert_array_equal(task.signals.target_outputs, logits[target])
        np.testing.assert_array_equal(task.signals.shadow_outputs, logits[shadows])
        np.testing.assert_array_equal(task.signals.shadow_membership, plan.member[shadows])
        np.testing.assert_array_equal(task.is_member, plan.member[target] == 1)


def test_complements_are_found_where_all_is_opposite_and_nowhere_else():
    member = np.array([[1, 0, 1, -1], [0, 1, 0, -1], [0, 1, 0, 0], [-1, -1, -1, -1], [1, 0, 1, 1]], np.int8)
    assert find_complements(member).tolist() == [1, 0, 4, -1, 2]


def test_losses_need_no_labels_and_have_no_classes():
    loss = np.random.default_rng(0).exponential(size=(3, 10))
    member = np.tile([1, 0], (3, 5))
    member[2] = np.arange(10) < 5
    given = {"target_loss": loss[0], "target_member": member[0], "shadow_loss": loss[1:], "shadow_member": member[1:]}
    (task,) = make_audit(given).tasks
    np.testing.assert_array_equal(task.signals.target_outputs[:, 0], -loss[0])
    assert task.signals.num_classes == 1


def test_scores_from_elsewhere_are_what_they_are():
    member = np.array([1, 0, -1, 1])
    audit = make_audit_of_scores({"member": member, "mine": np.arange(4), "index": [5, 6, 7, 8], "slice_x": member})
    assert list(audit.scores) == ["mine"]
    assert audit.scores["mine"].score.tolist() == [0, 1, 3]
    assert audit.tasks[0].index.tolist() == [5, 6, 8]
    for wrong, message in (({"mine": np.zeros(4)}, "no member"), ({"member": member}, "no scores"),
                           ({"member": member, "mine": np.full(4, np.nan)}, "all are NaN")):  # fmt: skip
        with pytest.raises(RequestError, match=message):
            make_audit_of_scores(wrong)


def test_labels_of_a_population_count_as_those_of_the_records_do():
    draws = np.random.default_rng(0)
    given = {
        "target_logits": draws.normal(size=(6, 3)), "target_member": [1, 0] * 3, "labels": [1, 2, 3] * 2,
        "population_logits": draws.normal(size=(1, 4, 3)), "population_labels": [1, 2, 1, 2],
    }  # fmt: skip
    (task,) = make_audit(given).tasks
    assert task.signals.labels.tolist() == [0, 1, 2] * 2
    assert task.signals.population_labels.tolist() == [0, 1, 0, 1]


def test_labels_beside_scores_stay_apart_however_large():
    labels = np.array([1234560, 1234561, 20240101, 20240102] * 5)
    audit = make_audit_of_scores({"member": np.arange(20) % 2, "labels": labels}, {"mine": np.arange(20.0)})
    assert audit.tasks[0].slices["class"].tolist() == [str(one) for one in labels]


def test_labels_beside_scores_are_no_attack_but_a_slice():
    member, labels = np.tile([1, 0], 12), np.arange(24) % 12
    for given in ((({"member": member, "labels": labels, "loss": np.arange(24)}),),
                  ({"member": member, "labels": labels}, {"loss": np.arange(24)})):  # fmt: skip
        audit = make_audit_of_scores(*given)
        assert list(audit.scores) == ["loss"]
        assert audit.tasks[0].slices["class"].tolist() == [str(one) for one in labels]
    for wrong in ("target_member", "labels", "slice_x", "member"):
        with pytest.raises(RequestError, match=f"scores holds '{wrong}'"):
            make_audit_of_scores({"member": member}, {wrong: labels})
    for wrong in ("target_loss", "logits"):
        with pytest.raises(RequestError, match=f"'{wrong}', which says nothing beside scores"):
            make_audit_of_scores({"member": member, wrong: labels}, {"mine": labels})


def test_a_folder_of_predictions_is_what_the_function_gives(tmp_path):
    plan = make_plan(RECORDS, num_shadows=2, seed=3)
    logits = np.random.default_rng(0).normal(size=(3, RECORDS, CLASSES)).astype(np.float16)
    for model in range(3):
        np.save(tmp_path / f"{model}.npy", logits[model])
    plan.save(tmp_path / "plan.npz")
    beside = {"labels": np.arange(RECORDS) % CLASSES}
    (by_file,) = audit_of_plan(read_plan(tmp_path / "plan.npz"), tmp_path, "logits", beside).tasks
    (by_function,) = audit_of_plan(plan, lambda model: logits[model], "logits", beside).tasks
    for name in ("target_outputs", "shadow_outputs", "shadow_membership", "labels"):
        np.testing.assert_array_equal(getattr(by_file.signals, name), getattr(by_function.signals, name))
    np.testing.assert_array_equal(by_file.is_member, plan.member[0] == 1)


def test_predictions_that_do_not_go_with_the_plan_are_refused(tmp_path):
    plan = make_plan(RECORDS, num_shadows=2)
    labels = {"labels": np.zeros(RECORDS, int)}
    with pytest.raises(RequestError, match="is no folder"):
        files_of_models(tmp_path / "none", 3)
    np.save(tmp_path / "0.npy", np.zeros((RECORDS, 3)))
    with pytest.raises(RequestError, match=r"lacks 1\.npy and 1 more"):
        audit_of_plan(plan, tmp_path, "logits", labels)
    np.save(tmp_path / "1.npy", np.zeros((RECORDS, 2)))
    np.save(tmp_path / "2.npy", np.zeros((RECORDS, 3)))
    with pytest.raises(RequestError, match="model 1 have 2 classes, the target's 3"):
        audit_of_plan(plan, tmp_path, "logits", labels)
    np.save(tmp_path / "1.npy", np.zeros((RECORDS - 1, 3)))
    with pytest.raises(RequestError, match=f"of {RECORDS - 1} records, the plan has {RECORDS}"):
        audit_of_plan(plan, tmp_path, "logits", labels)
    np.save(tmp_path / "3.npy", np.zeros((RECORDS, 3)))
    with pytest.raises(RequestError, match=r"holds 3\.npy"):
        audit_of_plan(plan, tmp_path, "logits", labels)


def test_membership_the_wrong_way_round_is_noticed(arrays):
    """A model that leaks, told 0 = member; the right way round, or without leakage, nothing is said."""

    def lines(given):
        return [line for line in make_audit(given).warnings if "wrong way round" in line]

    assert lines(arrays) == []
    leaky = dict(arrays)
    member = np.concatenate([leaky["target_member"][None], leaky["shadow_member"]])
    logits = np.concatenate([leaky["target_logits"][None], leaky["shadow_logits"]])
    logits[:, np.arange(RECORDS), leaky["labels"]] += 6 * member
    leaky |= {"target_logits": logits[0], "shadow_logits": logits[1:]}
    assert lines(leaky) == []
    (one,) = lines(leaky | {"target_member": 1 - member[0]})
    assert "target_member" in one
    (one,) = lines(leaky | {"shadow_member": np.concatenate([1 - member[1:2], member[2:]])})
    assert "1 of 4 shadows" in one
    assert "shadow_member the wrong way round (0)" in one


def test_what_attacks_share_is_worked_out_once_for_all_turns_and_is_the_same():
    plan = make_plan(RECORDS, num_shadows=4)
    logits = np.random.default_rng(0).normal(size=(5, RECORDS, CLASSES))
    turns = make_audit({"logits": logits, "member": plan.member, "labels": np.arange(RECORDS) % CLASSES}).tasks
    for task in turns:
        given = shared_statistics(task.signals)
        afresh = shared_statistics(replace(task.signals))
        for name in ("phi", "log_confidence", "confidence"):
            np.testing.assert_array_equal(getattr(given, name), getattr(afresh, name))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no such file system here")
def test_a_folder_that_only_seems_to_be_writable_is_refused_before_anything_is_attacked():
    with pytest.raises(RequestError, match=r"^out=/proc/nope cannot be written: "):
        check_writable(Path("/proc/nope"))


def test_the_wrong_way_round_is_told_by_ranks_with_ties():
    generator, told = np.random.default_rng(0), []
    for lead in np.linspace(-1, 0.2, 40):
        member = generator.integers(0, 2, 300).astype(bool)
        said = np.round(generator.normal(size=300) + lead * member, 1)
        inside, outside = said[member], said[~member]
        found = mannwhitneyu(inside, outside, alternative="less", method="asymptotic", use_continuity=False)
        told.append(_is_worse(said, member))
        assert told[-1] == (found.pvalue < norm.sf(4.0))
    assert {True, False} == set(told)


LABELS = {
    "counted from 1": (lambda y: y + 1, {}),
    "other numbers": (lambda y: np.array([0, 2, 5])[y], {}),
    "names that are numbers": (lambda y: np.array([0, 2, 5])[y], {"class_names": [0, 2, 5]}),
    "text": (lambda y: np.array(["ant", "bee", "cat"])[y], {}),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_a_population_are_read_by_the_rule_of_all_labels(arrays, kind):
    spelt, more = LABELS[kind]
    whole, part = arrays["labels"], np.array([0, 1, 0, 1, 1, 0, 0], int)  # never the last class
    population = {"population_logits": np.ones((5, 7, CLASSES)), "population_labels": spelt(part)}
    (task,) = make_audit({**arrays, **population, **more, "labels": spelt(whole)}).tasks
    np.testing.assert_array_equal(task.signals.labels, whole)
    np.testing.assert_array_equal(task.signals.population_labels, part)


def test_numbers_that_are_names_are_names_where_some_classes_have_no_record(arrays):
    labels = np.array([0, 2])[arrays["labels"] % 2]
    (task,) = make_audit({**arrays, "labels": labels, "class_names": [0, 2, 5]}).tasks
    np.testing.assert_array_equal(task.signals.labels, arrays["labels"] % 2)


@pytest.mark.parametrize("idle", [0, 3])
def test_a_model_that_is_never_the_target_may_stand_anywhere(arrays, idle):
    member = np.concatenate([arrays["target_member"][None], arrays["shadow_member"]])
    logits = np.concatenate([arrays["target_logits"][None], arrays["shadow_logits"]])
    member[idle] = -1
    audit = make_audit({"logits": logits, "member": member, "labels": arrays["labels"]})
    assert len(audit.tasks) == 4
    assert any("1 of 5 models have no 1, or no 0, in member: never the target" in line for line in audit.warnings)
    for task in audit.tasks:
        np.testing.assert_array_equal(task.signals.target_outputs, logits[task.target])
        others = [model for model in range(5) if model != task.target]
        np.testing.assert_array_equal(task.signals.shadow_outputs, logits[others])


def test_whole_numbers_beyond_single_precision_stay_apart():
    loss = 2**25 + np.arange(40) % 2
    (task,) = make_audit({"target_loss": loss, "target_member": np.arange(40) % 2}).tasks
    np.testing.assert_array_equal(-task.signals.target_outputs[:, 0], loss)


@pytest.mark.parametrize("seed", ["seven", [1, 2], 0.5])
def test_a_plan_whose_seed_is_no_number_is_refused(tmp_path, seed):
    np.savez(tmp_path / "plan.npz", member=np.eye(2, dtype=np.int8), seed=seed)
    with pytest.raises(RequestError, match="holds a seed that is no whole number"):
        read_plan(tmp_path / "plan.npz")
