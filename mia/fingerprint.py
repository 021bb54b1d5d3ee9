"""What makes a run or a pool: a mapping of plain values, and its hash.

Takes dataclasses and plain values; gives canonical JSON and a short hash of it, the same in every process.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any


def plain(value: Any) -> Any:
    """Return dataclasses as mappings, all the way down; everything else as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def fingerprint(identity: Mapping[str, Any]) -> str:
    """Return 20 hex digits that name this identity: equal identities give equal names, whatever the order of keys."""
    canonical = json.dumps(plain(identity), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:20]
