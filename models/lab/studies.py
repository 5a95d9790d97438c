"""The studies of `dmi lab`: which models, and which of their settings are varied."""

from __future__ import annotations

from typing import Literal, NamedTuple

from models.pipeline.presets import COUNTED, MODELS

StudyName = Literal["compare", "ablations", "interests", "additions"]

OURS = ("dmi-plus", "dmi")
# What ours are measured against: the best of these, and each of those.
MULTI_INTEREST = ("mind", "comirec-sa", "comirec-dr", "remi")
OTHERS = ("sasrec-plus", "sasrec", "gru4rec", "itemknn")

# One value at a time is changed; a value that a model has anyway is not run twice.
ABLATIONS: dict[str, tuple[float | str, ...]] = {
    "max_len": (50, 100, 200),
    "steps": (0, 1, 2, 4, 8),
    "eta": (0.25, 0.5, 1),
    "noise_scale": (0, 0.03, 0.1, 0.3, 1),
    "schedule": ("linear", "cosine"),
    "sampler": ("ddim", "posterior"),
    "prune_by": ("attention", "similarity"),
    "keep_fraction": (0.25, 0.5, 1),
    "keep_mass": (0.5, 0.8, 1),
    "hardness": (0, 0.5, 1, 3),
    "routing": (0, 1, 10, 100),
    "reconstruction": (0, 0.1, 1),
    "alignment": (0, 0.3, 1, 3),
    "num_interests": (1, 2, 4, 8),
    "first_target": (1, 4),
    "contrast": ("nearest", "best"),
    "horizon": (1, 5, 10, 20),
    "item_vectors": ("random", "cooccurrence"),
    "coarse": (0.03, 0.1, 1),
    "num_blocks": (1, 2),
}
# What `dmi-plus` has beside its network (hard negatives and alignment on short histories, long ones read further): what
# it would do for the others.
ADDITIONS: dict[str, tuple[float | str, ...]] = {
    "horizon": (10,),
    "item_vectors": ("cooccurrence",),
    "hardness": (1,),
    "alignment": (1,),
    "max_len": (200,),
}


class Study(NamedTuple):
    """Models, and the values that are tried in place of their own."""

    models: tuple[str, ...]
    values: dict[str, tuple[float | str, ...]]


STUDIES: dict[StudyName, Study] = {
    "compare": Study((*MODELS, *COUNTED), {}),
    "ablations": Study(OURS, ABLATIONS),
    "interests": Study(("comirec-sa", "remi", "dmi", "dmi-plus"), {"num_interests": ABLATIONS["num_interests"]}),
    "additions": Study((*MULTI_INTEREST, "gru4rec", "sasrec", "sasrec-plus", "dmi"), ADDITIONS),
}
