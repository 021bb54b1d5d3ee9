"""Scores against independently computed ones, and published predictions; skipped where those files are absent."""

import os
from pathlib import Path

import numpy as np
import pytest
from attack_cases import EVERY

from mia.attacks import run_attack
from mia.attacks.base import BaseOfflineOptions, BaseOnlineOptions
from mia.attacks.lira import LiraOfflineOptions, LiraOnlineOptions
from mia.attacks.pmia import PmiaOptions
from mia.attacks.rmia import RmiaOfflineOptions, RmiaOnlineOptions
from mia.records import Signals

FOLDER = Path(os.environ.get("MIA_CONFORMANCE", Path(__file__).parents[2] / "../shared/conformance"))
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the conformance files lie beside the repository only")

LIRA = [(variance, location) for variance in ("per_record", "global") for location in ("mean", "median")]
EXPECTED = {
    **{name: (name, EVERY[name]) for name in ("loss", "confidence", "entropy", "modified_entropy")},
    "difficulty_calibration_out": ("calibration", EVERY["calibration"]),
    **{f"lira_online/{v}_std/{m}": ("lira_online", LiraOnlineOptions(v, m)) for v, m in LIRA},
    **{f"lira_offline_density/{v}_std/{m}": ("lira_offline", LiraOfflineOptions(v, m, "density")) for v, m in LIRA},
    "lira_offline_onesided/per_record_std/mean": ("lira_offline", LiraOfflineOptions("per_record")),
    "base_online/T=2": ("base_online", BaseOnlineOptions()),
    "base_offline/T=2/alpha=0.33": ("base_offline", BaseOfflineOptions()),
    "pmia/mean": ("pmia", PmiaOptions()),
    "pmia/median": ("pmia", PmiaOptions(location="median")),
    "lira_online/moderated/mean": ("lira_online", LiraOnlineOptions("moderated")),
    "lira_offline_onesided/moderated/mean": ("lira_offline", LiraOfflineOptions("moderated")),
    **{f"rmia_online/gamma={g}": ("rmia_online", RmiaOnlineOptions(float(g))) for g in (1, 2)},
    **{f"rmia_offline/gamma={g}/a=0.3": ("rmia_offline", RmiaOfflineOptions(float(g))) for g in (1, 2)},
}


@pytest.fixture(scope="module")
def public():
    with np.load(FOLDER / "public.npz") as file:
        member = file["shadow_member"].astype(np.int8)
        return Signals(
            labels=file["labels"],
            is_candidate=file["target_member"] >= 0,
            target_outputs=file["target_logits"],
            shadow_outputs=file["shadow_logits"],
            shadow_membership=member,
            shadow_own=member >= 0,
            population_outputs=file["population_logits"],
            population_labels=file["population_labels"],
        )


def test_every_expected_score_is_compared():
    with np.load(FOLDER / "public.expected.npz") as file:
        assert set(file.files) == set(EXPECTED)


@pytest.mark.parametrize("key", EXPECTED)
def test_public_scores(public, key):
    name, chosen = EXPECTED[key]
    with np.load(FOLDER / "public.expected.npz") as file:
        expected = file[key]
    score = run_attack(name, public, chosen, 0).score
    assert (np.abs(score - expected) <= 1e-5 * np.maximum(1, np.abs(expected))).all()


@pytest.mark.parametrize(
    ("suffix", "name", "accuracy"),
    [
        ("", "gap", 0.687),
        ("", "confidence", 0.763),
        ("", "entropy", 0.616),
        ("", "modified_entropy", 0.781),
        ("_memguard", "gap", 0.687),
        ("_memguard", "confidence", 0.691),
        ("_memguard", "entropy", 0.521),
        ("_memguard", "modified_entropy", 0.688),
    ],
)
def test_locations_accuracies(suffix, name, accuracy):
    signals, is_member = locations(suffix)
    predicted = run_attack(name, signals, EVERY[name], 0).is_predicted
    assert np.mean(predicted == is_member) == pytest.approx(accuracy, abs=0.002)


def locations(suffix):
    """The target's records are unused by the shadow and the other way round."""
    with np.load(FOLDER / "location30.npz") as file:
        target, shadow = file[f"target_probabilities{suffix}"], file[f"shadow_probabilities{suffix}"]
        labels = np.concatenate([file["target_labels"], file["shadow_labels"]])
        is_member, shadow_member = file["target_member"] == 1, file["shadow_member"]
    outputs = np.concatenate([target, shadow])  # whoever was not asked about a record never has its answer used
    is_candidate = np.arange(len(labels)) < len(target)
    membership = np.concatenate([np.full(len(target), -1), shadow_member]).astype(np.int8)[None]
    signals = Signals(
        labels=labels,
        is_candidate=is_candidate,
        target_outputs=outputs,
        shadow_outputs=outputs[None],
        shadow_membership=membership,
        shadow_own=membership >= 0,
        is_probability=True,
    )
    return signals, is_member
