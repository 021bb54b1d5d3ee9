"""The same answers through other tools and through us: agreement, CPU seconds and memory, a JSON line for each.

`python tests/bench/peers.py --records 20000 --shadows 64` makes an environment for each tool from the package index
(once, in --environments) and runs online LiRA with one deviation per record everywhere; `--only mia` runs ours alone.
Times are CPU seconds of the whole process, imports and reading the file included; memory is its largest resident set.
Packages are installed without what they depend on, but for what their LiRA imports: that takes minutes and gigabytes
off, and is to their advantage. SACRO-ML's takes a target's files and trains its shadows: its own function of scores is
given the answers in their place, and torch, which it imports for other targets, is a stand-in.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

READ = """
import sys
import numpy as np
with np.load(sys.argv[1]) as file:
    target, member, labels = file["target_logits"], file["target_member"], file["labels"]
    shadows, shadow_member = file["shadow_logits"], file["shadow_member"] == 1
"""
PHI = """
def phi(logits):
    logits = np.asarray(logits, np.float64)
    rows = np.arange(logits.shape[-2])
    true = logits[..., rows, labels]
    others = np.array(logits)
    others[..., rows, labels] = -np.inf
    top = others.max(axis=-1)
    return true - top - np.log(np.exp(others - top[..., None]).sum(axis=-1))
own, shadow = phi(target), np.stack([phi(one) for one in shadows])
"""
SAVE = """
np.save(sys.argv[2], score)
"""
PRIVACY_GUARD = """
import pandas as pd
from privacy_guard.attacks.lira_attack import AggregationType, LiraAttack
def moments(is_in):
    kept = np.where(is_in, shadow, np.nan)
    return np.nanmean(kept, axis=0), np.nanstd(kept, axis=0)
(mean_in, std_in), (mean_out, std_out) = moments(shadow_member), moments(~shadow_member)
frame = pd.DataFrame({
    "user_id": np.arange(len(own)), "score_orig": own, "score_mean_in": mean_in, "score_std_in": std_in,
    "score_mean_out": mean_out, "score_std_out": std_out,
})
inside, outside = frame[member == 1].copy(), frame[member == 0].copy()
found = LiraAttack(inside, outside, AggregationType.NONE, online_attack=True)
found.run_attack()
score = np.empty(len(own))
for part in (found.df_train_merge, found.df_test_merge):
    score[part.user_id] = part.score
"""
TENSORFLOW = """
from tensorflow_privacy.privacy.privacy_tests.membership_inference_attack.advanced_mia import compute_score_lira
columns = range(len(own))
inside = [shadow[shadow_member[:, i], i, None] for i in columns]
outside = [shadow[~shadow_member[:, i], i, None] for i in columns]
score = -compute_score_lira(own[:, None], inside, outside, option="both", fix_variance=False, median_or_mean="mean")
"""
SACRO = """
import tempfile
from unittest.mock import MagicMock
import pylab, scipy.stats, sklearn.pipeline  # which would look into torch
absent = ("torch", "torch.nn", "torch.nn.functional", "torch.utils", "torch.utils.data")
sys.modules.update({name: MagicMock() for name in absent})  # imported for other targets; LiRA does without
from sacroml.attacks.likelihood_attack import LIRAAttack
for name in absent:
    del sys.modules[name]
powers = np.exp(target.astype(np.float64) - target.max(axis=1, keepdims=True))
attack = LIRAAttack(output_dir=tempfile.mkdtemp(), write_report=False, mode="online-carlini")
inside, outside = (
    {i: shadow[chosen[:, i], i].tolist() for i in range(len(own))} for chosen in (shadow_member, ~shadow_member)
)
found, _ = attack._compute_scores(labels, powers / powers.sum(axis=1, keepdims=True), outside, inside)
score = np.array(found)[:, 1]
"""
OURS = """
import mia
found = mia.audit(
    target_logits=target, target_member=member, labels=labels, shadow_logits=shadows,
    shadow_member=shadow_member.astype(np.int8),
    attacks={"lira_online": {"variance": "per_record"}},
)
score = found.scores["lira_online"].score
"""


@dataclass(frozen=True)
class Tool:
    """A tool, how it is installed, and a script that scores the answers."""

    name: str
    package: str
    needs: tuple[str, ...]
    script: str


TOOLS = (
    Tool(
        "PrivacyGuard",
        "privacyguard-platform==0.0.2",
        ("numpy", "scipy", "pandas", "scikit-learn"),
        READ + PHI + PRIVACY_GUARD + SAVE,
    ),
    Tool(
        "tensorflow/privacy",
        "tensorflow-empirical-privacy==0.1.0",
        ("numpy", "scipy", "pandas", "scikit-learn", "absl-py", "matplotlib", "immutabledict"),
        READ + PHI + TENSORFLOW + SAVE,
    ),
    Tool(
        "SACRO-ML",
        "sacroml==2.0.1",
        ("numpy", "scipy", "pandas", "scikit-learn", "matplotlib", "fpdf", "pypdf", "pyyaml", "multiprocess"),
        READ + PHI + SACRO + SAVE,
    ),
)


def main() -> None:
    """Print a line for each tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--shadows", type=int, default=64)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--environments", type=Path, default=Path.home() / ".cache" / "mia" / "peers")
    parser.add_argument("--only", default="", help="names of tools, or mia")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.npz"
        member = make_answers(answers, chosen.records, chosen.shadows, chosen.classes)
        ours = measure_ours(answers, member, Path(folder))
        for tool in TOOLS:
            if not chosen.only or tool.name.lower() in chosen.only.lower():
                python = environment(tool, chosen.environments)
                line = run([str(python), "-c", tool.script, str(answers), f"{folder}/score.npy"])
                score = np.load(f"{folder}/score.npy")
                tell(tool.name, line, auc=area(score, member), largest_difference=float(np.abs(score - ours).max()))


def make_answers(path: Path, records: int, shadows: int, classes: int) -> np.ndarray:
    """Write answers in the form of an audit's file, and return who is a member; members' logits are a little higher."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, records)
    member = (generator.random((shadows + 1, records)) < 0.5).astype(np.int8)
    logits = generator.normal(size=(shadows + 1, records, classes)).astype(np.float32)
    hardness = generator.normal(2, 1, records).astype(np.float32)
    logits[:, np.arange(records), labels] += hardness + member
    np.savez(
        path, target_logits=logits[0], target_member=member[0], labels=labels,
        shadow_logits=logits[1:], shadow_member=member[1:],
    )  # fmt: skip
    return member[0]


def measure_ours(answers: Path, member: np.ndarray, folder: Path) -> np.ndarray:
    """Print our lines, and return our scores."""
    audit = [sys.executable, "-m", "mia", "audit", f"signals={answers}", "attack=[lira_online]"]
    audit.append("attack.lira_online.variance=per_record")
    out = [f"out={folder}/out"]
    run([*audit, *out], MIA_HOME=f"{folder}/home")  # makes the store, once
    for name, more in (("mia audit", []), ("mia audit, untracked", ["tracking.enabled=false"])):
        line = run([*audit, *out, *more], MIA_HOME=f"{folder}/home")
        with np.load(f"{folder}/out/scores.npz") as file:
            tell(name, line, auc=area(file["lira_online"], member))
    line = run([sys.executable, "-c", READ + OURS + SAVE, str(answers), f"{folder}/ours.npy"])
    score = np.load(f"{folder}/ours.npy")
    tell("mia.audit in Python", line, auc=area(score, member))
    return score


def environment(tool: Tool, folder: Path) -> Path:
    """Return the interpreter of a tool's environment, made where it is not there."""
    home = folder / tool.package
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        for what in (list(tool.needs), ["--no-deps", tool.package]):
            subprocess.run([str(python), "-m", "pip", "install", "-q", *what], check=True)
        (home / "ready").touch()
    return python


def run(command: list[str], **variables: str) -> dict[str, float]:
    """Run a process to its end and return what it took.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=said, text=True
        )
        _, status, used = os.wait4(process.pid, 0)
        said.seek(0)
        if status:
            raise RuntimeError(said.read()[-2000:])
    return {"cpu_seconds": round(used.ru_utime + used.ru_stime, 2), "mib": round(used.ru_maxrss / 1024)}


def area(score: np.ndarray, member: np.ndarray) -> float:
    """Return the area under the ROC; scores are without ties."""
    ranks = np.empty(len(score))
    ranks[np.argsort(score)] = np.arange(1, len(score) + 1)
    inside = int(member.sum())
    return float((ranks[member == 1].sum() - inside * (inside + 1) / 2) / (inside * (len(score) - inside)))


def tell(name: str, line: dict[str, float], **more: float) -> None:
    """Print a line."""
    print(json.dumps({"tool": name, **line, **more}), flush=True)


if __name__ == "__main__":
    main()
