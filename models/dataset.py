"""A prepared data set on disk: histories as columns, ids, titles; written whole by `dmi prepare`.

The folder holds `items.npy` (int32 item rows of all users, each user's oldest first), `timestamps.npy` (float64
seconds), `offsets.npy` (int64, U + 1), `user_ids.json`, `item_ids.json`, `items.parquet` (row, item, title, category,
categories), `noise.npy` (bool) where the log said which clicks are noise, and, written last, `dataset.json`. Users
stand in the shuffled order of the split: the first 8/10 train, the next validate, the last test.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import InputError
from models.files import atomic_folder
from models.sequences import Sequences

SplitName = Literal["train", "valid", "test"]
FORMAT = 1
FILES = (
    "items.npy",
    "offsets.npy",
    "timestamps.npy",
    "user_ids.json",
    "item_ids.json",
    "items.parquet",
    "noise.npy",
    "dataset.json",
)


class DatasetInfo(BaseModel):
    """dataset.json: sizes, cut-off and where the events came from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    num_users: int
    num_items: int
    num_events: int
    min_count: int
    seed: int
    latest_timestamp: float
    has_repeats: bool
    source: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """All of a prepared data set but the titles."""

    path: Path
    info: DatasetInfo
    sequences: Sequences
    timestamps: NDArray[np.float64]  # (E,)
    user_ids: list[str]  # (U,)
    item_ids: list[str]  # (N,)  the id of row r is item_ids[r − 1]
    noise: NDArray[np.bool_] | None = None  # (E,)  clicks outside of all that their user likes, where that is known

    @property
    def catalogue(self) -> str:
        """SHA-256 of the numbered catalogue: weights belong to this numbering and to no other."""
        return hashlib.sha256(orjson.dumps(self.item_ids)).hexdigest()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the catalogue, the users and their histories: figures are of these data and of no others.

        What says which clicks are noise is left out: no accuracy depends on it.
        """
        digest = hashlib.sha256(orjson.dumps([self.item_ids, self.user_ids]))
        digest.update(np.ascontiguousarray(self.sequences.offsets).data)
        digest.update(np.ascontiguousarray(self.sequences.items).data)
        return digest.hexdigest()

    def bounds(self, split: SplitName) -> tuple[int, int]:
        """First and one-past-last user of a split (8:1:1)."""
        count = len(self.sequences)
        train, valid = count * 8 // 10, count * 9 // 10
        return {"train": (0, train), "valid": (train, valid), "test": (valid, count)}[split]

    def split(self, split: SplitName) -> Sequences:
        """The histories of one split's users."""
        return self.sequences.slice(*self.bounds(split))


def save_dataset(dataset: Dataset, items_parquet: bytes) -> None:
    """Write the folder `dataset.path` whole, or leave what was there."""
    if dataset.path.exists():
        if not dataset.path.is_dir():
            raise InputError(f"{dataset.path} is a file; choose another --out")
        foreign = sorted({path.name for path in dataset.path.iterdir()} - set(FILES))
        if foreign:
            raise InputError(
                f"{dataset.path} holds something other than a data set ({foreign[0]}); choose another --out"
            )
    with atomic_folder(dataset.path) as folder:
        np.save(folder / "items.npy", dataset.sequences.items)
        np.save(folder / "offsets.npy", dataset.sequences.offsets)
        np.save(folder / "timestamps.npy", dataset.timestamps)
        if dataset.noise is not None:
            np.save(folder / "noise.npy", dataset.noise)
        (folder / "user_ids.json").write_bytes(orjson.dumps(dataset.user_ids))
        (folder / "item_ids.json").write_bytes(orjson.dumps(dataset.item_ids))
        (folder / "items.parquet").write_bytes(items_parquet)
        (folder / "dataset.json").write_text(dataset.info.model_dump_json(indent=2) + "\n")


def load_dataset(path: Path) -> Dataset:
    """Read a data set folder; the large arrays stay on disk until they are used.

    Raises InputError where the folder is no data set, or a damaged one.
    """
    try:
        info = DatasetInfo.model_validate_json((path / "dataset.json").read_bytes())
        sequences = Sequences(
            np.load(path / "items.npy", mmap_mode="r"), np.load(path / "offsets.npy", allow_pickle=False)
        )
        dataset = Dataset(
            path=path.resolve(),
            info=info,
            sequences=sequences,
            timestamps=np.load(path / "timestamps.npy", mmap_mode="r"),
            user_ids=orjson.loads((path / "user_ids.json").read_bytes()),
            item_ids=orjson.loads((path / "item_ids.json").read_bytes()),
            noise=np.load(noise, mmap_mode="r") if (noise := path / "noise.npy").exists() else None,
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path} is no data set ({error.filename} is missing); make one with: dmi prepare") from None
    except (ValueError, EOFError, ValidationError) as error:
        raise InputError(f"{path} is a damaged data set ({error}); prepare it again") from None
    events = {column.shape for column in (sequences.items, dataset.timestamps, dataset.noise) if column is not None}
    sizes = (len(dataset.sequences), len(dataset.item_ids), events)
    if info.format != FORMAT or sizes != (info.num_users, info.num_items, {(info.num_events,)}):
        raise InputError(f"{path} does not hold what its dataset.json says; prepare it again")
    return dataset
