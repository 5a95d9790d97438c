"""The whole path on planted data: generate → prepare → train → evaluate → build → load → serve."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from rich.table import Table

from models.bundle import promote
from models.dataset import Dataset, load_dataset
from models.errors import InputError
from models.pipeline.build import build
from models.pipeline.evaluate import evaluate
from models.pipeline.planted import Planted, plant, write_planted
from models.pipeline.prepare import prepare
from models.pipeline.recipe import make_recipe
from models.pipeline.train import choose_device, train
from service.child import READY_SECONDS, child
from service.embedded_redis import embedded_redis
from service.load import load_histories
from service.server import check_port
from service.settings import Settings
from service.terminal import console, print_report, progress_bar

DEMO_MODEL = "dmi-plus"
# Under a minute on two cores; a low rate, for there is little to learn: two passes over 3,200 users.
DEMO_SETTINGS = (
    "max_len=30",
    "num_interests=4",
    "steps=4",
    "keep_fraction=0.5",
    "popularity=0",
    "dropout=0.3",
    "batch_size=32",
    "num_negatives=300",
    "learning_rate=0.001",
    "average=0.98",
    "max_steps=400",
    "eval_every=100",
)
MARKER = ".dmi-demo"


def run_demo(folder: Path, host: str, port: int, once: bool) -> None:
    """Build everything in `folder`, serve it, and either ask one /match and stop, or run until Ctrl-C."""
    check_port(host, port)
    planted, dataset = plant_into(folder)
    artifacts = folder / "artifacts"
    train_and_promote(dataset, folder, artifacts)
    with embedded_redis(folder / "redis") as redis:
        with progress_bar() as bar:
            asyncio.run(load_histories(dataset, redis, "full", bar))
        _serve(planted, artifacts, redis, host, port, once)


def plant_into(folder: Path) -> tuple[Planted, Dataset]:
    """Planted interests and `folder`/data, the data set made of them; InputError for a folder of somebody else's."""
    _claim(folder)
    planted = plant()
    _step(
        "Planting interests",
        f"{len(planted.interests):,} users who each like 2 to 4 of 24 topics, and click noise",
    )
    events, items = write_planted(planted, folder)
    with progress_bar() as bar:
        prepare(events, folder / "data", items, 5, bar)
    return planted, load_dataset(folder / "data")


def train_and_promote(dataset: Dataset, folder: Path, artifacts: Path) -> None:
    """The demo's model trained anew in `folder`/run, its evaluation shown, its bundle promoted in `artifacts`."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    _step(f"Training {DEMO_MODEL}", " ".join(DEMO_SETTINGS))
    recipe = make_recipe(DEMO_MODEL, 0, DEMO_SETTINGS, dataset)
    with progress_bar() as bar:
        train(dataset, folder / "run", recipe, choose_device("auto"), resume=False, bar=bar)
    _step("Evaluating", "users the training never saw")
    print_report(evaluate(folder / "run", dataset, "test", exclude_seen=False))
    with console.status("exporting, indexing …"):
        bundle = build(folder / "run", artifacts)
    promote(artifacts, bundle.version)
    _step("Built", str(bundle.path))


def _claim(folder: Path) -> None:
    """Refuse a folder of somebody else's: the demo overwrites what it finds."""
    marker = folder / MARKER
    if folder.exists() and not marker.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} holds something other than a demo; choose another --folder")
    folder.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _serve(planted: Planted, artifacts: Path, redis: str, host: str, port: int, once: bool) -> None:
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    command = ["serve", "--artifacts", str(artifacts), "--redis", redis, "--host", host, "--port", str(port)]
    _step("Serving", shlex.join(["dmi", *command]))
    with suppress(KeyboardInterrupt), child(["service", *command], url) as server:
        user, topics = planted.interests.row(0)
        match = f"{url}/match?user_id={user}&n=10"
        keys = [key.get_secret_value().encode() for key in Settings().api_keys[:1]]
        headers = [(b"Authorization", b"Bearer " + key) for key in keys]
        # no proxy stands before ourselves
        answer = httpx.get(match, headers=headers, timeout=READY_SECONDS, trust_env=False)
        _print_answer(planted, user, topics, answer.raise_for_status().json())
        explorer = f"{url}/?user={user}"
        console.print(
            f"\n  curl '{match}'\n\n  Explorer: {explorer}\n  API pages: {url}/docs\n", highlight=False, soft_wrap=True
        )
        if not once:
            console.print("Ctrl-C stops the service; its data stay in the folder.")
            server.wait()


def _print_answer(planted: Planted, user: str, topics: list[str], answer: dict[str, Any]) -> None:
    """The answer with titles, beside what the user truly likes."""
    known = {item: (title, category) for item, title, category in planted.items.iter_rows()}
    table = Table(title=f"{user}, who likes {', '.join(topics)}, gets", title_justify="left")
    for name in ("item", "title", "category", "interest", "score"):
        table.add_column(name, justify="right" if name in ("interest", "score") else "left")
    for candidate in answer["candidates"]:
        title, category = known.get(candidate["item_id"], ("", ""))  # one that came by PUT /items in an earlier demo
        mark = "green" if category in topics else "red"
        table.add_row(
            candidate["item_id"],
            title,
            f"[{mark}]{category}[/{mark}]",
            str(candidate["interest"]),
            f"{candidate['score']:.2f}",
        )
    console.print(table)


def _step(name: str, detail: str) -> None:
    console.rule(f"[bold]{name}", align="left")
    console.print(detail, highlight=False, soft_wrap=True)
