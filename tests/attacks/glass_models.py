"""Models that can be looked into, for tests: softmax regressions on random features, trained by nobody."""

from dataclasses import dataclass, replace

import numpy as np

from mia.records import LastLayer, Signals


@dataclass
class GlassFeatures:
    """Features of the records and of the population."""

    x: np.ndarray
    population: np.ndarray

    def of_records(self, records):
        return self.x[records]

    def of_population(self):
        return self.population


class GlassModels:
    """Softmax regressions; model 0 is the target. Remembers which were looked into."""

    def __init__(self, kernels, biases):
        self.kernels, self.biases, self.seen = kernels, biases, set()

    def last_layer(self, model, x):
        self.seen.add(model)
        return LastLayer(x, self.kernels[model], self.biases[model])

    def gradient_norms(self, model, x, labels):
        """By hand: the gradient of the kernel is x (p - y), that of the bias p - y."""
        self.seen.add(model)
        z = x @ self.kernels[model] + self.biases[model]
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(len(labels)), labels] -= 1
        return np.sqrt((np.square(x).sum(1) + 1) * np.square(p).sum(1))

    def answers(self, x):
        return np.stack([x @ kernel + bias for kernel, bias in zip(self.kernels, self.biases, strict=True)])


def glass_signals(seed=0, records=120, shadows=4, classes=3, features=5, population=150, effect=0.0):
    """Return signals with complementary pairs of shadows, and the target's membership; members' phi is `effect` higher.

    The models differ at random and know nothing of their members but that.
    """
    generator = np.random.default_rng(seed)
    x, beside = generator.normal(size=(records, features)), generator.normal(size=(population, features))
    common = generator.normal(size=(features, classes))
    kernels = common + generator.normal(0, 0.4, (shadows + 1, features, classes))
    models = GlassModels(kernels, generator.normal(size=(shadows + 1, classes)))
    labels = generator.integers(0, classes, records)
    rows = [generator.permutation(records) < records // 2]
    while len(rows) < shadows + 1:
        half = generator.permutation(records) < records // 2
        rows += [half, ~half]
    member = np.array(rows[: shadows + 1])
    outputs = models.answers(x)
    outputs[:, np.arange(records), labels] += effect * member
    of_population = models.answers(beside)
    signals = Signals(
        labels=labels.astype(np.int32),
        is_candidate=np.ones(records, bool),
        target_outputs=outputs[0],
        shadow_outputs=outputs[1:],
        shadow_membership=member[1:].astype(np.int8),
        shadow_own=np.ones((shadows, records), bool),
        population_outputs=np.concatenate([of_population[1:], of_population[:1]]),
        population_labels=generator.integers(0, classes, population).astype(np.int32),
        features=GlassFeatures(x, beside),
        models=models,
    )
    return signals, member[0]


def relabelled(signals, order):
    """Return the same signals with classes renamed: class c becomes order[c]."""
    back = np.argsort(order)
    models = signals.models
    return replace(
        signals,
        labels=order[signals.labels].astype(np.int32),
        target_outputs=signals.target_outputs[..., back],
        shadow_outputs=signals.shadow_outputs[..., back],
        population_outputs=signals.population_outputs[..., back],
        population_labels=order[signals.population_labels].astype(np.int32),
        models=GlassModels(models.kernels[..., back], models.biases[..., back]),
    )


def moved(signals, constant):
    """Return the same signals with a constant added to all logits."""
    models = signals.models
    return replace(
        signals,
        target_outputs=signals.target_outputs + constant,
        shadow_outputs=signals.shadow_outputs + constant,
        population_outputs=signals.population_outputs + constant,
        models=GlassModels(models.kernels, models.biases + constant),
    )


def permuted(signals, order):
    """Return the same signals with records in another order."""
    return replace(
        signals,
        labels=signals.labels[order],
        is_candidate=signals.is_candidate[order],
        target_outputs=signals.target_outputs[order],
        shadow_outputs=signals.shadow_outputs[:, order],
        shadow_membership=signals.shadow_membership[:, order],
        shadow_own=signals.shadow_own[:, order],
        features=GlassFeatures(signals.features.x[order], signals.features.population),
    )


def reordered(signals, shadows):
    """Return the same signals with shadows in another order, perhaps fewer."""
    shadows, models = list(shadows), signals.models
    rows = [0, *(shadow + 1 for shadow in shadows)]
    return replace(
        signals,
        shadow_outputs=signals.shadow_outputs[shadows],
        shadow_membership=signals.shadow_membership[shadows],
        shadow_own=signals.shadow_own[shadows],
        population_outputs=signals.population_outputs[[*shadows, signals.num_shadows]],
        models=GlassModels(models.kernels[rows], models.biases[rows]),
    )
