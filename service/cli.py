"""The `dmi` command: one verb a function. Heavy imports stay inside, so that `dmi --help` is instant."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from redis.exceptions import RedisError
from typer.exceptions import TyperException

from models.errors import InputError
from service.cli_lab import app as lab

app = typer.Typer(
    name="dmi",
    help="Candidate matching: events in, the few hundred items worth ranking out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(lab)  # without a name: its verbs stand beside these

Out = Annotated[Path, typer.Option(envvar="DMI_OUT", help="Folder to write.")]
Data = Annotated[Path | None, typer.Option(envvar="DMI_DATA", help="Data set folder, where it has moved.")]
Artifacts = Annotated[Path, typer.Option(envvar="DMI_ARTIFACTS", help="Folder of bundles.")]
RedisUrl = Annotated[str | None, typer.Option("--redis", envvar="DMI_REDIS", help="Redis URL; none: an embedded one.")]
Host = Annotated[str, typer.Option(envvar="DMI_HOST", help="Address to listen on.")]
Port = Annotated[int, typer.Option(envvar="DMI_PORT", min=1, max=65535, help="Port to listen on.")]


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", envvar="DMI_ONCE", help="Ask one /match, print it, stop.")] = False,
    folder: Annotated[Path, typer.Option(envvar="DMI_FOLDER", help="Where all of it is kept.")] = Path("demo"),
    host: Host = "127.0.0.1",
    port: Port = 8000,
) -> None:
    """Planted-interest data → train → evaluate → build → Redis → serve."""
    from service.demo import run_demo

    run_demo(folder, host, port, once)


@app.command()
def bootstrap(
    folder: Annotated[Path, typer.Option(envvar="DMI_FOLDER", help="Where the demo's data are kept.")] = Path("demo"),
    artifacts: Artifacts = Path("artifacts"),
    redis: RedisUrl = None,
) -> None:
    """The demo's bundle where none is promoted, its histories where Redis has none; else nothing."""
    from service.bootstrap import run_bootstrap

    run_bootstrap(folder, artifacts, redis)


@app.command()
def prepare(
    events: Annotated[Path, typer.Argument(help="csv or parquet with columns user, item, timestamp.")],
    out: Out,
    items: Annotated[
        Path | None,
        typer.Option(envvar="DMI_ITEMS", help="csv or parquet: item, title, category, categories."),
    ] = None,
    min_count: Annotated[
        int, typer.Option(envvar="DMI_MIN_COUNT", min=2, help="Fewest events of an item, then of a user.")
    ] = 5,
) -> None:
    """Event log → data set folder."""
    from models.pipeline.prepare import prepare as run
    from service.terminal import console, progress_bar

    with progress_bar() as bar:
        dataset = run(events, out, items, min_count, bar)
    info = dataset.info
    console.print(f"{info.num_users:,} users · {info.num_items:,} items · {info.num_events:,} events in {out}")


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder made by dmi prepare.")],
    out: Out,
    model: Annotated[str, typer.Option(envvar="DMI_MODEL", help="Which model; a wrong name lists them.")] = "dmi-plus",
    seed: Annotated[int, typer.Option(envvar="DMI_SEED", min=0, max=2**31 - 1, help="Seed of all that is random.")] = 0,
    device: Annotated[str, typer.Option(envvar="DMI_DEVICE", help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", envvar="DMI_RESUME", help="Go on from the last checkpoint.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", envvar="DMI_SET", help="name=value, repeatable; see models/config.py."),
    ] = None,
) -> None:
    """Data set → trained weights."""
    from models.dataset import load_dataset
    from models.pipeline.recipe import make_recipe
    from models.pipeline.train import choose_device
    from models.pipeline.train import train as run
    from service.terminal import console, progress_bar

    dataset = load_dataset(data)
    recipe = make_recipe(model, seed, set_ or [], dataset)
    with progress_bar() as bar:
        state = run(dataset, out, recipe, choose_device(device), resume, bar)
    reached = f" at step {state.best_step}" if state.step else ""
    console.print(f"best validation recall@50 {state.best_recall:.4f}{reached}; weights in {out}")


@app.command()
def evaluate(
    path: Annotated[Path, typer.Argument(help="A run or a bundle.", metavar="RUN|BUNDLE")],
    split: Annotated[Literal["valid", "test"], typer.Option(envvar="DMI_SPLIT", help="Whose users.")] = "test",
    exclude_seen: Annotated[
        bool,
        typer.Option("--exclude-seen", envvar="DMI_EXCLUDE_SEEN", help="Take history items out of the answers."),
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(envvar="DMI_URL", help="Ask this running service instead; its key, if any, in DMI_API_KEY."),
    ] = None,
    data: Data = None,
    json: Annotated[Path | None, typer.Option(envvar="DMI_JSON", help="Write the figures here too.")] = None,
) -> None:
    """Recall, HitRate, NDCG, diversity and coverage of a run or a bundle."""
    from models.dataset import load_dataset
    from models.pipeline.evaluate import data_of, held_out, report_answers
    from models.pipeline.evaluate import evaluate as run
    from service.replay import ask_all
    from service.terminal import print_report, progress_bar, write_report

    dataset = load_dataset(data or data_of(path))
    # Where users repeat items, a figure without the other would mislead: both are shown.
    both = dataset.info.has_repeats and not exclude_seen
    reports = []
    for excluding in (False, True) if both else (exclude_seen,):
        if url is None:
            reports.append(run(path, dataset, split, excluding))
        else:
            users = held_out(dataset, split)
            with progress_bar() as bar:
                asked = ask_all(url, os.environ.get("DMI_API_KEY"), dataset, users, excluding, bar)
                answers = {"as served": asyncio.run(asked)}
            reports.append(report_answers(answers, dataset, split, excluding))
    for report in reports:
        print_report(report)
    if json is not None:
        write_report(json, reports)


@app.command()
def build(
    run: Annotated[Path, typer.Argument(help="Folder made by dmi train.", metavar="RUN")],
    out: Annotated[Path, typer.Option(envvar="DMI_OUT", help="Folder of bundles.")] = Path("artifacts"),
    promote: Annotated[bool, typer.Option("--promote", envvar="DMI_PROMOTE", help="Serve it from now on.")] = False,
    data: Data = None,
    redis: Annotated[
        str | None,
        typer.Option(envvar="DMI_REDIS", help="Redis URL: the bundle takes over what was said of items there."),
    ] = None,
) -> None:
    """Run → bundle, ready to serve."""
    from models.bundle import promote as move_current
    from models.pipeline.build import build as build_bundle
    from service.embedded_redis import redis_at
    from service.fold import drop_changes, held_changes, read_changes
    from service.terminal import console

    changes = held = held_changes(out)
    with nullcontext() if redis is None else redis_at(redis, out) as url:
        if url is not None:
            changes = held.followed_by(asyncio.run(read_changes(url)))
        with console.status("exporting, indexing, evaluating …"):
            bundle = build_bundle(run, out, data, changes)
        if url is not None:
            asyncio.run(drop_changes(url, held))
    if promote:
        move_current(out, bundle.version)
    console.print(
        f"bundle {bundle.path}"
        + (" promoted" if promote else f"; serve it with: --promote, or write its name to {out}/current")
    )


@app.command()
def load(
    data: Annotated[Path, typer.Argument(help="Folder made by dmi prepare.")],
    redis: RedisUrl = None,
    split: Annotated[
        Literal["full", "history"],
        typer.Option(
            envvar="DMI_LOAD_SPLIT",
            help="full: everybody's events; history: the first 80 % of the test users'.",
        ),
    ] = "full",
    artifacts: Artifacts = Path("artifacts"),
) -> None:
    """Histories → Redis."""
    from models.dataset import load_dataset
    from service.embedded_redis import redis_at
    from service.load import load_histories
    from service.terminal import console, progress_bar

    dataset = load_dataset(data)
    with redis_at(redis, artifacts) as url, progress_bar() as bar:
        count = asyncio.run(load_histories(dataset, url, split, bar))
    console.print(f"{count:,} histories stored")


@app.command()
def serve(
    artifacts: Artifacts = Path("artifacts"),
    redis: RedisUrl = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(envvar="DMI_WORKERS", min=1, max=256, help="Processes.")] = 1,
) -> None:
    """Serve the promoted bundle over HTTP."""
    from service.server import run_server

    run_server(artifacts, redis, host, port, workers)


def main() -> None:
    """Run the command line: 0 done, 1 failed, 2 bad input or usage, 130 interrupted, 143 terminated.

    Errors are one line on stderr.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwind: stop what we started
    sys.exit(_run())


def _run() -> int:
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        return _fail(2, str(error))
    except ValidationError as error:  # a DMI_… variable of the service
        problem = error.errors()[0]
        return _fail(2, f"DMI_{str(problem['loc'][0]).upper()}: {problem['msg'].removeprefix('Value error, ')}")
    except TyperException as error:
        return _fail(2, error.format_message() or "say what to do; see dmi --help")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("models", "service"):
            raise
        return _fail(1, f"{error.name} is not installed; run: pip install -c constraints.txt -e '.[lab,bench]'")
    except (OSError, RuntimeError, RedisError) as error:
        return _fail(1, str(error))
    return _fail(130, "interrupted") if code == 130 else 0  # Typer turns Ctrl-C into this answer


def _fail(code: int, message: str) -> int:
    print(f"dmi: {' '.join(message.split())}", file=sys.stderr)
    return code
