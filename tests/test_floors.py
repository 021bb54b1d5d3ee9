"""The architecture, checked by reading the imports: a floor imports only floors below it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mia"
FLOORS = {
    "records": 0, "checks": 0, "files": 0, "fingerprint": 0, "seeds": 0, "home": 0,
    "registry": 0, "settings": 0, "machine": 0, "probabilities": 0, "limits": 0,
    "data": 1, "split": 1, "shadow_data": 1, "models": 1, "train": 1, "attacks": 1, "defences": 1, "metrics": 1,
    "store": 2, "plans": 2, "predictions": 2, "snippets": 2, "tables": 2, "model_card": 2, "stored_result": 2, "contact_sheet": 2, "experiment": 2,
    "config": 3, "tracking": 3, "compose": 3, "sweep": 3, "sweeper": 3, "variants": 3,
    "report": 4, "outputs": 5, "results": 5, "face": 5, "tracked": 5, "cli": 5, "__main__": 6, "__init__": 6,
}  # fmt: skip
ONLY_IN = {
    "jax": {"models", "train"},
    "flax": {"models", "train"},
    "optax": {"models", "train"},
    "sklearn": {"attacks", "metrics", "data", "defences"},
    "sklearnex": {"attacks"},
    "omegaconf": {
        "config",
        "compose",
        "variants",
        "sweeper",
        "cli",
    },  # compose and cli name the type that Hydra hands over
    "hydra": {"compose", "sweep", "cli"},
    "mlflow": {"tracking"},
    "altair": {"report"},
    "vl_convert": {"report"},
    "rich": {"report", "cli"},
}
WITHIN_FLOOR_1 = {("train", "models")}
"""The one dependency within floor 1: what is trained is a model."""
LARGEST = 260
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_floor_imports_only_floors_below_it(file):
    own = part(file)
    for name in imports(file):
        if not name.startswith("mia.") or name.split(".")[1] not in FLOORS:
            continue
        other = name.split(".")[1]
        is_below = FLOORS[other] < FLOORS[own]
        is_beside = FLOORS[other] == FLOORS[own] != 1 or (own, other) in WITHIN_FLOOR_1
        assert other == own or is_below or is_beside, f"{own} must not import {other}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_libraries_stay_where_they_belong(file):
    for name in imports(file):
        library = name.split(".")[0]
        assert part(file) in ONLY_IN.get(library, {part(file)}), f"{library} does not belong in {part(file)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_module_outgrows_its_noun(file):
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(lines) <= LARGEST
