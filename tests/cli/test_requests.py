"""Wrong requests: exit code 2, one line that names what is wrong, nothing run and nothing left behind."""

import io
import tarfile
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest
import yaml

from mia.attacks import ATTACKS

WRONG = [
    # unknown names, with what was probably meant
    ("data.pth=x", "data.pth"),
    ("dta=digits", "did you mean 'data'"),
    ("data=digit", "did you mean 'digits'"),
    ("model=cn", "did you mean 'cnn'"),
    ("split=pol", "did you mean 'pool'"),
    ("defence=top", "defence=top"),
    ("attack=[nope]", "attack=nope"),
    ("attack=[shadow_svn]", "did you mean 'shadow_svm'"),
    ("+sweeep=data_size", "did you mean 'sweeps'"),
    ("+sweeps=data_sise", "did you mean 'data_size'"),
    ("+sweeps=digits,dp", "must name one sweep"),
    ("sweeps=digits", "sweeps=digits: a sweep file is added to the config: +sweeps=digits"),
    ("attack=[quick,full]", "stands alone, without brackets"),
    ("attack=null", "attack=null: choose by name"),
    ("limit.foo=1", "limit.tpr_at_0.1pct_fpr"),
    ("attack.lira_online.variance=global", "attack=lira_online does not run here; choose it, attack=[lira_online]"),
    ("attack=full attack.lira_online.variance=global", "attack=lira_online does not run here"),
    ("hydra/sweeper=basic", "hydra/sweeper"),
    ("+nothing=1", "nothing"),
    ("defence=temperature defence.temprature=5", "did you mean 'defence.temperature'"),
    ("repotr", "did you mean 'report'"),
    ("train.dropout=0,0.5", "train.dropout=0,0.5 lists several values: mia -m sweeps over them"),
    ("hydra/launcher=jobli", "did you mean 'joblib'"),
    ("train.epoch=3", "did you mean 'train.epochs'"),
    ("split.protocl=pool", "did you mean 'split.protocol'"),
    ("+train.lr=1", "train.lr"),
    ("+train.dp.eps=1", "train.dp.eps is not a config key, did you mean 'train.dp.epsilon'"),
    ("+trian.epochs=1", "trian is not a config key"),
    ("train.augmentation.cutout=8", "train.augmentation.cutout=8 leaves nothing of pictures of 8x8"),
    ("train.augmentation.shift=9", "give less than 8"),
    ("model.hiden=[3]", "did you mean 'model.hidden'"),
    ("attack.shadow_svm.gird=wide", "did you mean 'attack.shadow_svm.grid'"),
    ("attack.prior.x=1", "attack.prior"),
    ("~train.epochs", "~train.epochs: a key cannot be taken away; ~attack.NAME leaves an attack out"),
    ("~train.epoch", "train.epoch is not a config key, did you mean 'train.epochs'"),
    ("~seed", "~seed: a key cannot be taken away"),
    ("~nokey", "nokey is not a config key"),
    # wrong types
    ("seed=abc", "seed=abc"),
    ("seed=1.5", "seed=1.5"),
    ("seed=${foo:1}", "seed: Unsupported interpolation type foo"),
    ("train.l2=${nokey}", "train.l2: Interpolation key 'nokey' not found"),
    ("rerun=${oc.env:MIA_NOT_SET}", "rerun: KeyError raised while resolving"),
    ("train.epochs=abc", "train.epochs=abc"),
    ("train.batch_size=x", "train.batch_size=x"),
    ("train.learning_rate=fast", "train.learning_rate=fast"),
    ("train.l2=[1]", "train.l2"),
    ("split.size=1.5", "split.size=1.5"),
    ("split.num_shadows=many", "split.num_shadows=many"),
    ("attacker.adaptive=maybe", "attacker.adaptive=maybe"),
    ("model.hidden=3", "model.hidden=3"),
    ("model.hidden=[a]", "model.hidden=[a]"),
    ("rerun=perhaps", "rerun=perhaps"),
    ("attack.prior=high", "attack.prior=high"),
    ("train={a:1}", "train"),
    # out of range
    ("seed=-1", "seed=-1"),
    ("seed=4294967296", "seed=4294967296"),
    ("split.size=0", "split.size=0"),
    ("split.size=-5", "split.size=-5"),
    ("split.size=100000", "at most split.size=449"),
    ("split.num_shadows=0", "split.num_shadows=0"),
    ("split.num_shadows=1000000 dry_run=true", "split.num_shadows=1000000 must be at most 100000"),
    ("split.num_targets=0", "split.num_targets=0"),
    ("split.protocol=both", "split.protocol='both'"),
    ("train.epochs=0", "train.epochs=0"),
    ("train.batch_size=0", "train.batch_size=0"),
    ("train.learning_rate=0", "train.learning_rate"),
    ("train.learning_rate=nan", "train.learning_rate"),
    ("train.learning_rate=inf", "train.learning_rate"),
    ("train.learning_rate_decay=-1", "train.learning_rate_decay"),
    ("train.epsilon=0", "train.epsilon"),
    ("train.l2=-1e-3", "train.l2"),
    ("train.weight_decay=-1", "train.weight_decay"),
    ("train.dropout=1", "train.dropout"),
    ("train.dropout=-0.1", "train.dropout"),
    ("train.label_smoothing=2", "train.label_smoothing"),
    ("train.early_stopping.holdot=0.1", "did you mean 'train.early_stopping.holdout'"),
    ("train.early_stopping.holdout=1", "train.early_stopping.holdout"),
    ("train.early_stopping.holdout=0.001", "is none"),
    ("train.dp.noise_multiplier=1", "train.dp.clipping_norm"),
    ("train.dp.clipping_norm=0", "train.dp.clipping_norm"),
    ("train.mixup=-1", "train.mixup"),
    ("train.adversarial.strength=x", "train.adversarial.strength"),
    ("+frontier=nope", "frontier=nope"),
    ("train.test_records=-1", "train.test_records"),
    ("model.hidden=[0]", "model.hidden"),
    ("model.activation=sine", "model.activation='sine'"),
    ("attack.prior=0", "attack.prior=0"),
    ("attack.prior=1.5", "attack.prior=1.5"),
    ("attack.shadow_svm.grid=huge", "attack.shadow_svm.grid='huge'"),
    ("attack.shadow_svm.folds=1", "attack.shadow_svm.folds=1"),
    ("engine.models_per_batch=0", "engine.models_per_batch"),
    ("engine.models_per_batch=some", "engine.models_per_batch"),
    ("tracking.experiment=''", "tracking.experiment"),
    ("tracking.uri=nowhere", "tracking.uri"),
    # pairs that contradict each other
    ("attack=[lira_online]", "split.protocol=pool"),
    ("attack=[rmia_online]", "split.protocol=pool"),
    ("split.num_targets=2", "split.protocol=pool"),
    ("split=pool split.num_targets=2 attacker.adaptive=false", "attacker.adaptive=true"),
    ("split=pool split.num_targets=20", "split.num_targets=20"),
    ("attack=[lira_offline] split.num_shadows=1", "split.num_shadows=1"),
    ("model=wide_resnet model.depth=11", "model.depth=11"),
    ("model=cnn model.hidden=[3]", "model.hidden"),
    ("data=locations data.path=x", "data.path"),
    # what cannot be read
    ("split.size=[1", "[1"),
    ("=3", "=3"),
    ("split.size", "split.size"),
    ("--frobnicate", "--frobnicate"),
    ("--shell-completion", "mia --shell-completion install=bash"),
    ("--shell-completion install=foo", "install='foo' is not known; known: bash"),
    ("split.size=1,2", "split.size=1,2"),
    ("tracking.enabled=false", "tracking.enabled=false is for mia audit"),
    ("tracking.enabled=false dry_run=true", "tracking.enabled=false is for mia audit"),
    ("data=arrays", "data.path"),
    ("data=arrays data.path=/nowhere/a.npz", "/nowhere/a.npz"),
    ("data=images data.path=/nowhere/p.zip", "/nowhere/p.zip"),
    ("data=cifar10 data.root=/nowhere", "/nowhere"),
    # nothing in a config can ask for code to be run
    ("+data._target_=os.system", "_target_"),
    ("+_target_=os.system", "_target_"),
]


if find_spec("submitit") is None:
    WRONG.append(("hydra/launcher=submitit_slurm", "is not installed: pip install '.[slurm]'"))


def left_behind(home):
    return sorted(path for path in home.rglob("*") if path.is_file()) if home.exists() else []


@pytest.mark.parametrize(("request_", "named"), WRONG, ids=[request for request, _ in WRONG])
def test_a_wrong_request_is_refused_in_one_line(mia, tmp_path, request_, named):
    home = tmp_path / "mlruns"
    code, out, err = mia(home, *request_.split(" "))
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("mia: error: ")
    assert named in err
    assert "Traceback" not in err
    assert left_behind(home) == []


WRONG_SWEEPS = [
    ("+nosuch=1,2", "nosuch is not a config key"),
    ("+l2=0,1e-3 seed=1,2", "l2 is not a config key"),
    ("sweeps=digits", "+sweeps=digits"),
    ("seed=0,1 tracking.enabled=false", "tracking.enabled=false is for mia audit"),
    ("attack.lira_online.variance=global,per_record", "attack=lira_online does not run here"),
    ("attack=[loss],[gap] attack.lira_online.variance=global", "attack=lira_online does not run here"),
    ("hydra.sweeper.params={seed:1}", "hydra.sweeper.params is added, not changed"),
]


@pytest.mark.parametrize(("request_", "named"), WRONG_SWEEPS)
def test_a_wrong_sweep_is_refused_in_one_line(mia, tmp_path, request_, named):
    code, out, err = mia(tmp_path / "mlruns", "-m", *request_.split())
    assert (code, out) == (2, ""), err
    assert err.startswith("mia: error: ")
    assert err.count("\n") == 1
    assert named in err
    assert left_behind(tmp_path) == []


def test_what_is_swept_can_be_added_one_by_one(mia, tmp_path):
    code, _, err = mia(tmp_path / "mlruns", "-m", "split.size=60", "+hydra.sweeper.params.seed='1,2'", "dry_run=true")
    assert code == 0, err


@pytest.mark.parametrize("request_", [["seed=1"], ["-m", "seed=1,2"], ["runs"], ["plan", "records=40"]], ids=" ".join)
def test_a_current_folder_that_is_gone_is_said(mia, tmp_path, monkeypatch, request_):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, out, err = mia(tmp_path / "mlruns", *request_)
    assert (code, out) == (2, "")
    assert err == "mia: error: the current folder has been removed: cd to one that is there\n"


def test_one_impossible_configuration_refuses_the_whole_sweep(mia, tmp_path):
    code, _, err = mia(tmp_path / "mlruns", "-m", "split.size=10,100000")
    assert code == 2
    assert "split.size=100000" in err
    assert err.count("\n") == 1
    assert left_behind(tmp_path) == []


NOT_ARRAYS = ("pickle.npz", "truncated.npz", "text.npz", "one.npz")


class Bomb:
    """Unpickling this would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def hostile_files(folder):
    """Return (file, request) of files that want to harm."""
    np.savez(folder / "pickle.npz", x=np.array([Bomb(str(folder / "harmed"))], dtype=object), y=np.zeros(1, np.int32))
    with zipfile.ZipFile(folder / "traversal.zip", "w") as file:
        for name in ("a/1.png", "../../b/2.png"):
            file.writestr(name, b"no picture")
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("a/1.png", "b/2.png"):
            file.writestr(name, bytes(80_000_000))
    with tarfile.open(folder / "link.tar", "w") as file:
        for name in ("a/1.png", "b/2.png"):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            file.addfile(member)
    (folder / "truncated.npz").write_bytes((folder / "pickle.npz").read_bytes()[:60])
    (folder / "text.npz").write_text("no arrays")
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    (folder / "one.npz").write_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((kind, name) for kind in ("arrays", "audit") for name in NOT_ARRAYS),
        *(("images", name) for name in ("traversal.zip", "bomb.zip", "link.tar")),
    ],
)
def test_a_hostile_file_is_refused_and_does_no_harm(mia, tmp_path, kind, name):
    hostile_files(tmp_path)
    before = set(tmp_path.rglob("*"))
    path = tmp_path / name
    request = (
        ["audit", f"signals={path}", f"out={tmp_path / 'out'}"]
        if kind == "audit"
        else [f"data={kind}", f"data.path={path}"]
    )
    code, out, err = mia(tmp_path / "mlruns", *request)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert name in err
    assert set(tmp_path.rglob("*")) == before


def chosen(mia, home, *overrides):
    code, printed, err = mia(home, "--cfg", "job", *overrides)
    assert code == 0, err
    return {name for name, options in yaml.safe_load(printed)["attack"].items() if isinstance(options, dict)}


def test_presets_leave_out_attacks_that_have_too_few_records(mia, tmp_path):
    generator = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=generator.normal(size=(200, 4)), y=np.arange(200) % 2)
    small = ["data=arrays", f"data.path={tmp_path / 'd.npz'}", "split=pool", "attack=full", "train.epochs=1"]
    for size, is_possible in ((100, False), (90, True)):
        code, printed, err = mia(tmp_path / "home", *small, f"split.size={size}", "dry_run=true")
        assert code == 0, err
        assert ("bmia" in printed + err) == is_possible


def test_attacks_are_chosen_by_preset_and_left_out_by_name(mia, tmp_path):
    usual = chosen(mia, tmp_path)
    assert chosen(mia, tmp_path, "~attack.shadow_svm") == usual - {"shadow_svm"}
    quick, full = (chosen(mia, tmp_path, f"attack={preset}", "split=pool") for preset in ("quick", "full"))
    assert {"lira_online", "rmia_offline"} <= quick
    assert full - quick == {name for name, spec in ATTACKS.items() if spec.is_slow and not spec.is_owners}
    assert chosen(mia, tmp_path, "attack=full", "split=pool", "~attack.shadow_svm") == full - {"shadow_svm"}
    assert chosen(mia, tmp_path, "attack=full") == {name for name in full if "in_models" not in ATTACKS[name].needs}
    code, _, err = mia(tmp_path, "~attack.shadow_svn")
    assert code == 2
    assert "did you mean 'attack.shadow_svm'" in err
