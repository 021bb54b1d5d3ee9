"""Slow, obvious versions of every score: one record, one model and one class at a time, from the papers' formulas."""

import math
from statistics import fmean, median, pstdev

NAN = math.nan


def chances(outputs, is_probability):
    if is_probability:
        return [float(value) for value in outputs]
    total = math.fsum(math.exp(float(value)) for value in outputs)
    return [math.exp(float(value)) / total for value in outputs]


def floor_of(signals):
    """Return half the smallest probability above 0; a logit needs no floor."""
    if not signals.is_probability:
        return 0.0
    every = [signals.target_outputs.ravel(), signals.shadow_outputs.ravel(), signals.population_outputs.ravel()]
    return min(float(value) for part in every for value in part if value > 0) / 2


def log_confidence(outputs, label, is_probability, floor):
    return math.log(max(chances(outputs, is_probability)[label], floor))


def confidence(outputs, label, is_probability, floor):
    del floor
    return chances(outputs, is_probability)[label]


def floored_confidence(outputs, label, is_probability, floor):
    return max(chances(outputs, is_probability)[label], floor)


def phi(outputs, label, is_probability, floor):
    p = chances(outputs, is_probability)
    others = math.fsum(value for position, value in enumerate(p) if position != label)
    return math.log(max(p[label], floor)) - math.log(max(others, floor))


def minus_entropy(outputs, label, is_probability, floor):
    del floor
    return math.fsum(value * math.log(value) for value in chances(outputs, is_probability) if value > 0)


def minus_modified_entropy(outputs, label, is_probability, floor):
    p = chances(outputs, is_probability)
    own = (1 - p[label]) * math.log(max(p[label], floor))
    others = (value * math.log(max(1 - value, floor)) for position, value in enumerate(p) if position != label)
    return own + math.fsum(others)


def answers(signals, statistic, model):
    outputs, floor = signals.target_outputs if model < 0 else signals.shadow_outputs[model], floor_of(signals)
    return [
        statistic(outputs[record], signals.labels[record], signals.is_probability, floor)
        for record in range(len(signals.labels))
    ]


def split_shadows(signals, statistic):
    """Return, per record, the values of the IN and of the OUT shadows."""
    by_model = [answers(signals, statistic, model) for model in range(signals.num_shadows)]
    groups = []
    for record in range(len(signals.labels)):
        sides = ([], [])
        for model in range(signals.num_shadows):
            side = signals.shadow_membership[model, record]
            if side in (0, 1):
                sides[side].append(by_model[model][record])
        groups.append((sides[1], sides[0]))
    return groups


def calibration(signals):
    target = answers(signals, log_confidence, -1)
    groups = split_shadows(signals, log_confidence)
    return [value - fmean(out) if out else NAN for value, (_, out) in zip(target, groups, strict=True)]


def density(x, mean, std):
    return -((x - mean) ** 2) / (2 * std**2) - math.log(std) - math.log(2 * math.pi) / 2


def tail(x, mean, std):
    return math.log(math.erfc(-(x - mean) / std / math.sqrt(2)) / 2)


def lira(signals, variance, location, form):
    """Score in the forms `online`, `density` and `one_sided`."""
    target = answers(signals, phi, -1)
    groups = split_shadows(signals, phi)
    middle = fmean if location == "mean" else median
    both = (0, 1) if form == "online" else (1,)
    pooled = {side: pstdev([x - middle(group[side]) for group in groups for x in group[side]]) for side in both}
    scores = []
    for value, group in zip(target, groups, strict=True):
        fewest = 2 if variance == "per_record" else 1
        if any(len(group[side]) < fewest for side in both):
            scores.append(NAN)
            continue
        fits = {
            side: (middle(group[side]), pooled[side] if variance == "global" else pstdev(group[side])) for side in both
        }
        if form == "online":
            scores.append(density(value, *fits[0]) - density(value, *fits[1]))
        else:
            scores.append(tail(value, *fits[1]) if form == "one_sided" else -density(value, *fits[1]))
    return scores


def tempered(temperature):
    """Return the statistic log softmax(z / T)_y; of probabilities, z is the logarithm of each, or of the floor."""

    def statistic(outputs, label, is_probability, floor):
        logits = [math.log(max(float(value), floor)) if is_probability else float(value) for value in outputs]
        return math.log(chances([value / temperature for value in logits], False)[label])

    return statistic


def base(signals, temperature, alpha=None):
    """Score offline with `alpha`, online without."""
    target = answers(signals, tempered(temperature), -1)
    scores = []
    for value, (inside, outside) in zip(target, split_shadows(signals, tempered(temperature)), strict=True):
        if not outside or (alpha is None and not inside):
            scores.append(NAN)
        else:
            used = outside if alpha is not None else inside + outside
            scores.append(value - (alpha or 1) * math.log(fmean(map(math.exp, used))))
    return scores


def pmia(signals, location):
    middle = fmean if location == "mean" else median
    target = answers(signals, phi, -1)
    groups = split_shadows(signals, phi)
    members = {
        label: [x for other, (inside, _) in zip(signals.labels, groups, strict=True) if other == label for x in inside]
        for label in set(signals.labels)
    }
    scores = []
    for value, label, (_, outside) in zip(target, signals.labels, groups, strict=True):
        if len(outside) < 2 or len(members[label]) < 2:
            scores.append(NAN)
            continue
        inside = members[label]
        fits = [(middle(values), pstdev(values)) for values in (inside, outside)]
        scores.append(density(value, *fits[0]) - density(value, *fits[1]))
    return scores


def rmia(signals, gamma, a=None):
    """Score offline with `a`, online without."""
    target = answers(signals, floored_confidence, -1)
    groups = split_shadows(signals, floored_confidence)
    ratios = []
    for value, (inside, outside) in zip(target, groups, strict=True):
        if not outside or (a is None and not inside):
            ratios.append(NAN)
        elif a is None:
            ratios.append(value / ((fmean(inside) + fmean(outside)) / 2))
        else:
            ratios.append(value / (((1 + a) * fmean(outside) + 1 - a) / 2))
    population = []
    for record, label in enumerate(signals.population_labels):
        floor = floor_of(signals)
        p = [
            floored_confidence(outputs[record], label, signals.is_probability, floor)
            for outputs in signals.population_outputs
        ]
        marginal = fmean(p[:-1]) if a is None else ((1 + a) * fmean(p[:-1]) + 1 - a) / 2
        population.append(p[-1] / marginal)
    return [
        NAN if math.isnan(ratio) else fmean(1.0 if ratio / other >= gamma else 0.0 for other in population)
        for ratio in ratios
    ]


def best_balanced_accuracy(score, is_member):
    """Try every threshold."""
    members, others = sum(is_member), len(is_member) - sum(is_member)
    best = 0.0
    for threshold in [*score, math.inf]:
        hits = sum(1 for s, m in zip(score, is_member, strict=True) if m and s >= threshold)
        passes = sum(1 for s, m in zip(score, is_member, strict=True) if not m and s < threshold)
        best = max(best, (hits / members + passes / others) / 2)
    return best
