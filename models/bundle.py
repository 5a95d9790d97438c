"""A bundle: all that serves one version of a model, in one folder that is never edited once it is there."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError

from models.catalogue import Catalogue
from models.changes import Changes
from models.config import CONFIGS, Config, NeighboursConfig, NetworkConfig, RetrieverName
from models.errors import InputError
from models.files import atomic_file
from models.index import ItemIndex
from models.multi_interest import MultiInterest
from models.neighbours import Neighbours
from models.plane import Plane
from models.popularity import Popularity
from models.retriever import Retriever

MANIFEST, CURRENT = "manifest.json", "current"
CONFIG, WEIGHTS, ENCODER = "config.json", "weights.safetensors", "encoder.onnx"
ITEM_IDS, ITEMS, INDEX, POPULAR, METRICS = (
    "item_ids.json", "items.parquet", "index.faiss", "popular.npy", "metrics.json",
)  # fmt: skip
CHANGES = "changes.json"  # only where items were changed
PLANE = "plane.safetensors"  # only where items have vectors, and not in bundles older than the explorer page
FILES: dict[RetrieverName, tuple[str, ...]] = {
    "multi-interest": (CONFIG, WEIGHTS, ENCODER, ITEM_IDS, ITEMS, INDEX, POPULAR, METRICS),
    "neighbours": (CONFIG, WEIGHTS, ITEM_IDS, ITEMS, POPULAR, METRICS),
    "popular": (CONFIG, ITEM_IDS, ITEMS, POPULAR, METRICS),
}
FORMAT = 2


class Manifest(BaseModel):
    """manifest.json, written last: its presence says that the bundle is whole, its hashes what it holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    version: str
    model: str
    retriever: RetrieverName  # what serves it, and so which FILES there are
    git_revision: str | None
    data: Path
    catalogue: str  # Dataset.catalogue: which item each row is
    fingerprint: str | None = None  # Dataset.fingerprint: which users it was trained on; None in bundles of before
    data_cutoff: float
    created: float | None = None  # seconds since 1970; None in bundles of before
    num_users: int
    num_items: int
    num_events: int
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded version, its parts checked against each other."""

    path: Path
    manifest: Manifest
    config: Config
    retriever: Retriever
    item_ids: list[str]  # (N,)  the id of row r is item_ids[r − 1]
    rows: dict[str, int]  # item id → row
    catalogue: Catalogue
    popular: Popularity
    changes: Changes  # of items, that the bundle was built with
    plane: Plane | None = None  # to draw its items on

    @property
    def version(self) -> str:
        """The model version: the folder's name."""
        return self.manifest.version

    @property
    def index(self) -> ItemIndex | None:
        """The item vectors, where the model has them."""
        return self.retriever.index if isinstance(self.retriever, MultiInterest) else None


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_bundle(path: Path) -> Bundle:
    """Read and verify a bundle folder.

    Raises InputError, naming the file, where one is missing or altered or does not fit the others.
    """
    manifest = read_manifest(path)
    if manifest.version != path.resolve().name:
        raise InputError(f"{path} was renamed: its manifest says {manifest.version}; give it that name again")
    for name in FILES[manifest.retriever]:
        if name not in manifest.files:
            raise InputError(f"{path / MANIFEST} does not list {name}; build the bundle again")
    for name in (*FILES[manifest.retriever], *({CHANGES, PLANE} & manifest.files.keys())):
        if not (path / name).is_file():
            raise InputError(f"{path / name} is missing; build the bundle again or serve another version")
        if sha256(path / name) != manifest.files[name]:
            raise InputError(f"{path / name} was altered: its SHA-256 is not the manifest's; build the bundle again")
    try:
        config = CONFIGS[manifest.retriever].model_validate_json((path / CONFIG).read_bytes())
        item_ids: list[str] = orjson.loads((path / ITEM_IDS).read_bytes())
        popular = Popularity.load(path / POPULAR, config.num_items)
        retriever = load_retriever(path, config, popular)
        plane = load_plane(path, config) if PLANE in manifest.files else None
    except InputError:
        raise
    except (ValidationError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read ({reason}); build the bundle again") from None
    if len(item_ids) != config.num_items:
        raise InputError(f"{path / ITEM_IDS} holds {len(item_ids)} ids, where {CONFIG} says {config.num_items} items")
    rows = {item: row for row, item in enumerate(item_ids, start=1)}
    catalogue = Catalogue.load(path / ITEMS, item_ids, rows)
    return Bundle(path, manifest, config, retriever, item_ids, rows, catalogue, popular, load_changes(path), plane)


def load_changes(path: Path) -> Changes:
    """The changes of items that a bundle was built with; InputError where there is no bundle."""
    return Changes.load(path / CHANGES) if CHANGES in read_manifest(path).files else Changes()


def load_retriever(path: Path, config: Config, popular: Popularity) -> Retriever:
    """What serves, from the files of its kind; InputError or SafetensorError, where one is damaged."""
    if isinstance(config, NetworkConfig):
        return MultiInterest.load(path / WEIGHTS, path / ENCODER, path / INDEX, config)
    if isinstance(config, NeighboursConfig):
        return Neighbours.load(path / WEIGHTS, config)
    return popular


def load_plane(path: Path, config: Config) -> Plane | None:
    """The plane to draw items on, where the model has item vectors; ValueError where it is of another model."""
    return Plane.load(path / PLANE, config.dim) if isinstance(config, NetworkConfig) else None


def read_manifest(path: Path) -> Manifest:
    """manifest.json of a bundle folder; InputError where there is none or it is damaged."""
    try:
        content = orjson.loads((path / MANIFEST).read_bytes())
        if isinstance(content, dict) and content.get("format", FORMAT) != FORMAT:
            raise InputError(
                f"{path} has bundle format {content['format']}, this version reads {FORMAT}; build it again"
            )
        return Manifest.model_validate(content)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path / MANIFEST} is damaged ({error}); build the bundle again") from None
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path} is no bundle ({MANIFEST} is missing); make one with: dmi build") from None
    except ValidationError as error:
        raise InputError(
            f"{path / MANIFEST} is damaged ({error.error_count()} errors); build the bundle again"
        ) from None


def promote(artifacts: Path, version: str) -> None:
    """Make ARTIFACTS/current name `version`."""
    with atomic_file(artifacts / CURRENT) as temporary:
        temporary.write_text(version + "\n")


def current(artifacts: Path) -> Path:
    """The folder that ARTIFACTS/current names; InputError where there is none."""
    try:
        version = (artifacts / CURRENT).read_bytes().decode(errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{artifacts} serves nothing yet ({CURRENT} is missing): dmi build … --promote") from None
    if not re.fullmatch(r"\w[\w.-]*", version, re.ASCII):
        raise InputError(f"{artifacts / CURRENT} does not name a version folder: {version!r}")
    return artifacts / version
