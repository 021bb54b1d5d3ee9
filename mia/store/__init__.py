"""The pool store: trained models on disk, addressed by what made them.

`<folder>/<fingerprint>/pool.json` holds the identity in full; model k is `<k>.safetensors` (parameters), `<k>.npz`
(learning curves, and logits on every record where there are few) and `<k>.json`, written last, with the checksums of
both and what they hold: a model is there when its JSON is. What it says of records that somebody asked it about later
lies beside it. A pool grows model by model under a lock, so two processes never train the same model twice.
`users.json` names the tracking stores whose runs used the pool.

Takes and gives NumPy arrays. Never trains, and never runs code from what it reads.
"""

from mia.store.content import CURVES
from mia.store.folder import PoolStore
from mia.store.pool import Pool, TrainedModel, User

__all__ = ["CURVES", "Pool", "PoolStore", "TrainedModel", "User"]
