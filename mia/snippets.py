"""Code to copy: how the models of a plan are trained in other frameworks, and what is then saved for `mia audit`.

Each runs as it stands beside `x.npy` (all records, in the plan's order) and `y.npy` (their classes, or text).
"""

from mia.checks import one_of

_HEAD = """\
# Trains the target and the shadows of {plan} with {framework}, and saves what each says about every record.
from pathlib import Path

import numpy as np
{imports}

x, y = np.load("x.npy"), np.load("y.npy")  # yours: all records, always in this order
classes, labels = np.unique(y, return_inverse=True)
plan = np.load("{plan}")
member = plan["member"]  # [models, records]: 1 trained on; model 0 is the target
if "labels" in plan:  # of canaries, wrong ones
    labels = np.searchsorted(classes, plan["labels"])
folder = Path("predictions")
folder.mkdir(exist_ok=True)

"""
_TAIL = """\

np.save("labels.npy", labels)
# mia audit plan={plan} predictions=predictions labels=labels.npy kind={kind} out=audit
"""
_SKLEARN = """\

def make_model(seed):  # yours: what you would publish, with a seed of its own
    return RandomForestClassifier(random_state=seed)


for number, mine in enumerate(member):
    model = make_model(number).fit(x[mine == 1], labels[mine == 1])
    answers = np.zeros((len(x), len(classes)), np.float32)
    answers[:, model.classes_] = model.predict_proba(x)  # a class that it never saw keeps probability 0
    np.save(folder / f"{number}.npy", answers)
    # of a regression save its losses, (model.predict(x) - y) ** 2, and audit them with kind=losses
"""
_TORCH = """\

def make_model():  # yours
    size = int(np.prod(x.shape[1:]))
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, len(classes)))


device = "cuda" if torch.cuda.is_available() else "cpu"
inputs, targets = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(labels)
for number, mine in enumerate(member):
    torch.manual_seed(number)
    model = make_model().to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    own = torch.as_tensor(np.flatnonzero(mine == 1))
    for _ in range(20):  # epochs
        for batch in own[torch.randperm(len(own))].split(32):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs[batch].to(device)), targets[batch].to(device))
            loss.backward()
            optimiser.step()
    model.eval()
    with torch.no_grad():
        answers = torch.cat([model(part.to(device)).cpu() for part in inputs.split(1024)])
    np.save(folder / f"{number}.npy", answers.float().numpy())
"""
_KERAS = """\

def make_model():  # yours: without a softmax at its end
    return keras.Sequential([
        keras.Input(x.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(128, "relu"),
        keras.layers.Dense(len(classes)),
    ])


for number, mine in enumerate(member):
    keras.utils.set_random_seed(number)
    model = make_model()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x[mine == 1], labels[mine == 1], epochs=20, batch_size=32, verbose=0)
    np.save(folder / f"{number}.npy", model.predict(x, batch_size=1024, verbose=0))
"""
_XGBOOST = """\

def make_model(seed):  # yours
    return xgboost.XGBClassifier(n_estimators=100, objective="multi:softprob", random_state=seed)


for number, mine in enumerate(member):
    own = np.flatnonzero(mine == 1)
    seen, numbers = np.unique(labels[own], return_inverse=True)  # it wants classes without a gap
    model = make_model(number).set_params(num_class=len(seen)).fit(x[own], numbers)
    answers = np.zeros((len(x), len(classes)), np.float32)
    answers[:, seen] = model.predict_proba(x)
    np.save(folder / f"{number}.npy", answers)
"""
FRAMEWORKS = {
    "sklearn": ("scikit-learn", "from sklearn.ensemble import RandomForestClassifier", _SKLEARN, "probabilities"),
    "torch": ("PyTorch", "import torch\nfrom torch import nn", _TORCH, "logits"),
    "keras": ("Keras", "import keras", _KERAS, "logits"),
    "xgboost": ("XGBoost", "import xgboost", _XGBOOST, "probabilities"),
}


def training_code(framework: str, plan: str = "plan.npz") -> str:
    """Return Python code that trains a plan's models and saves their predictions.

    Args:
        framework: `torch`, `keras`, `sklearn` or `xgboost`.
        plan: The plan's file.

    Raises:
        RequestError: another framework.
    """
    name, imports, body, kind = FRAMEWORKS[one_of("framework", framework, FRAMEWORKS)]
    head = _HEAD.format(plan=plan, framework=name, imports=imports)
    return head + body + _TAIL.format(plan=plan, kind=kind)
