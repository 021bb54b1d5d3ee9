"""`mia plan records=N out=plan.npz`: who trains on what, and the code to copy."""

from pathlib import Path

from mia.checks import RequestError
from mia.cli.arguments import only_overrides
from mia.cli.main import ALL_IS_WELL
from mia.composition import compose_config
from mia.config import PlanConfig, to_options
from mia.outputs import check_file, check_given


def command(overrides: list[str]) -> int:
    """Write the plan, say what it holds and how it goes on, and return the exit code."""
    from mia.plans import make_plan
    from mia.predictions.planned import read_labels
    from mia.snippets import training_code

    config: PlanConfig = to_options(compose_config(only_overrides(overrides, "plan"), "plan"), PlanConfig)
    out = check_file(check_given("out", config.out))
    code = training_code(config.framework, config.out) if config.framework else ""
    split = config.split
    if split.num_targets > 1:
        raise RequestError(
            f"split.num_targets={split.num_targets} is for runs: a plan has one target, model 0; an audit of a file "
            "with logits and member takes all models in turn"
        )
    if split.overlap:
        raise RequestError(
            "split.overlap=true is for runs: in a plan split=pool is what shares records among target and shadows"
        )
    is_sized = any(one.lstrip("+").startswith("split.size=") for one in overrides)
    plan = make_plan(
        config.records,
        split.num_shadows,
        split.protocol,
        config.seed,
        size=split.size if is_sized else None,
        canaries=split.canaries,
        mislabel=split.mislabel,
        labels=None if config.labels is None else read_labels(Path(config.labels))["labels"],
    )
    plan.save(out)
    if code:
        print(code, end="")
        return ALL_IS_WELL
    pairs = int((plan.complements >= 0).sum())
    print(f"{plan!r} in {out}")
    if pairs:
        print(f"{pairs} of its models come in pairs that train on each other's rest: an audit keeps them apart")
    if plan.labels is not None and plan.canaries is not None:
        print(f"{len(plan.canaries)} canaries have wrong labels: train with np.load({str(out)!r})['labels']")
    print(
        f"train model k on the records where member[k] is 1 (np.load({str(out)!r})['member']), save what each says\n"
        "about all records in predictions/k.npy, then: mia audit "
        f"plan={out} predictions=predictions labels=labels.npy out=audit\n"
        "framework=torch, keras, sklearn or xgboost prints code that does all this"
    )
    return ALL_IS_WELL
