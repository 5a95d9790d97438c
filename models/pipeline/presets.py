"""The models by name, and the settings found for each on data of a kind.

`models/presets/KIND/MODEL.json` are what was best for `dmi tune` on validation users, and the defaults for all data of
that kind. results/notes.md has the budgets, and what stood there by hand.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal

import numpy as np
import orjson

from models.config import NeighboursConfig, PopularConfig
from models.errors import InputError
from models.sequences import Sequences

Kind = Literal["short", "long"]
Settings = dict[str, Any]
LONG = 20  # events: half the training users have at least as many

# One pass trains every position of a history, so a batch needs fewer users.
_CAUSAL: Settings = {"batch_size": 128, "first_target": 1}
_SASREC: Settings = {"steps": 0, "encoder": "transformer", "extractor": "newest", "num_interests": 1, **_CAUSAL}
MODELS: dict[str, Settings] = {
    "dmi": {"hardness": 1.0, "routing": 10.0},
    "dmi-plus": {
        **{"encoder": "transformer", "extractor": "contextual", "steps": 2, "prune_by": "similarity"},
        **{"item_vectors": "cooccurrence", "contrast": "best", "num_negatives": 1024},
        "coarse": 0.1,
        **_CAUSAL,
    },
    "comirec-sa": {"steps": 0},
    "comirec-dr": {"steps": 0, "extractor": "dynamic-routing"},
    "remi": {"steps": 0, "hardness": 1.0, "routing": 100.0},
    "mind": {"steps": 0, "extractor": "b2i-routing"},
    "gru4rec": {"steps": 0, "encoder": "gru", "extractor": "newest", "num_interests": 1, **_CAUSAL},
    "sasrec": _SASREC,
    "sasrec-plus": {**_SASREC, "item_vectors": "cooccurrence"},  # trained as `dmi-plus` is, where that pays
}
# Counted, not trained: no network.
COUNTED: dict[str, type[PopularConfig] | type[NeighboursConfig]] = {
    "popular": PopularConfig,
    "itemknn": NeighboursConfig,
}


def kind_of(histories: Sequences) -> Kind:
    """Whether a data set's histories are short (shops, places) or long (films, feeds), by their median length."""
    return "long" if np.median(histories.lengths) >= LONG else "short"


def preset(model: str, kind: Kind) -> Settings:
    """What makes a model, with the sizes of a kind of data and what tuning found; InputError for an unknown model."""
    names = (*MODELS, *COUNTED)
    if model not in names:
        raise InputError(f"unknown model {model!r}; choose one of: {', '.join(names)}")
    if model in COUNTED:
        settings: Settings = {}
    else:
        settings = {"max_len": 50 if kind == "long" else 20} | MODELS[model]
        if kind == "long" and "batch_size" in settings:
            settings["batch_size"] //= 4  # a long history has as many more positions to train
    tuned = resources.files("models") / "presets" / kind / f"{model}.json"
    return settings | (orjson.loads(tuned.read_bytes()) if tuned.is_file() else {})
