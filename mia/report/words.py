"""Names and numbers as people read them: metric labels, config keys, rounding.

Takes contract names and floats, gives text. Knows nothing of figures.
"""

import math

METRICS = {
    "target/train_accuracy": "train accuracy",
    "target/test_accuracy": "test accuracy",
    "target/generalization_gap": "train - test gap",
    "shadow/train_accuracy": "shadow train accuracy",
    "shadow/test_accuracy": "shadow test accuracy",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall",
    "auc": "AUC",
    "advantage": "advantage",
    "tpr_at_1pct_fpr": "TPR at 1% FPR",
    "tpr_at_0.1pct_fpr": "TPR at 0.1% FPR",
    "tpr_at_0.01pct_fpr": "TPR at 0.01% FPR",
    "privacy/epsilon": "epsilon",
    "privacy/epsilon_lower_bound": "epsilon, lower bound",
}
KEYS = {
    "split.size": "size",
    "split.num_shadows": "shadows",
    "split.protocol": "protocol",
    "attacker.adaptive": "adaptive",
    "data.name": "data",
    "model.name": "model",
    "defence.name": "defence",
    "shadow_data.name": "shadow data",
}
DEFENCES = {
    "l2": "L2",
    "weight_decay": "weight decay",
    "label_smoothing": "label smoothing",
    "early_stopping": "early stopping",
    "confidence_penalty": "confidence penalty",
    "top_k": "top-k",
    "label_only": "label only",
    "memguard": "MemGuard",
    "dp": "DP-SGD",
    "dp_sgd": "DP-SGD",
    "relaxloss": "RelaxLoss",
    "relax_loss": "RelaxLoss",
    "adversarial": "adversarial regularisation",
}


def metric_words(name: str) -> str:
    """Return a metric's name in words; an `attack/<name>/` prefix is dropped."""
    tail = name.split("/", 2)[-1] if name.startswith("attack/") else name
    return METRICS.get(tail, tail.replace("_", " "))


def key_words(key: str) -> str:
    """Return a config key's short name."""
    return KEYS.get(key, key.rpartition(".")[2].replace("_", " "))


def defence_words(name: str) -> str:
    """Return a defence's name in words."""
    return DEFENCES.get(name, name.replace("_", " "))


def number_words(value: float) -> str:
    """Return a setting's number as briefly as it can be read: 2,500, 0.005, 1e-04."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.4g}" if abs(value) >= 1e-3 else f"{value:.3g}"


def as_value_words(text: str) -> tuple[str, float | str]:
    """Return a config value in words, and by what it sorts: a number where it is one."""
    try:
        number = float(text)
    except ValueError:
        return text or "-", text
    return number_words(number), number


def percent_words(share: float) -> str:
    """Return a share as a percentage, without needless digits: 0.1%, 50%."""
    return f"{100 * share:.6g}%"


def value_words(value: float, digits: int = 3) -> str:
    """Return a result rounded to `digits`; a dash where there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def spread_words(mean: float, deviation: float, digits: int = 3) -> str:
    """Return a mean, with its deviation where more than one value is behind it."""
    text = value_words(mean, digits)
    return f"{text} ± {deviation:.{digits}f}" if math.isfinite(deviation) and math.isfinite(mean) else text
