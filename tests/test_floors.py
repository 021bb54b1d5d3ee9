"""The architecture: contracts on imports that stand in pyproject.toml, and modules that stay small."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LARGEST = 260
"""Lines of a module without empty ones and comments."""


def test_imports_keep_the_contracts():
    """Floors, circles, and which room may import which library."""
    run = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
        "--no-cache",
    ]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_outgrows_its_noun():
    lines = {}
    for file in (ROOT / "mia").rglob("*.py"):
        code = [line for line in file.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]
        lines[str(file.relative_to(ROOT / "mia"))] = len(code)
    assert {name: count for name, count in lines.items() if count > LARGEST} == {}
