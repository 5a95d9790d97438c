"""The verbs of the `dmi` command that experiment and measure: tune, lab, report, bench."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from models.errors import InputError

app = typer.Typer()

Results = Annotated[Path, typer.Option(envvar="DMI_RESULTS", help="Report to write.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", envvar="DMI_SET", help="name=value for every run, repeatable; see models/config.py."),
]


@app.command()
def tune(
    data: Annotated[Path, typer.Argument(help="Folder made by dmi prepare.")],
    out: Annotated[Path, typer.Option(envvar="DMI_OUT", help="Folder for MODEL.json and the journal of trials.")],
    models: Annotated[str, typer.Option(envvar="DMI_MODELS", help="Comma-separated.")] = "dmi",
    trials: Annotated[int, typer.Option(envvar="DMI_TRIALS", min=1, max=10_000, help="Of each model.")] = 12,
    device: Annotated[str, typer.Option(envvar="DMI_DEVICE", help="auto, cpu or cuda.")] = "auto",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", envvar="DMI_SET", help="name=value for every trial of a network, repeatable; not what is searched."
        ),
    ] = None,
) -> None:
    """Search each model's settings on the validation users. Goes on where it was stopped; processes may share it."""
    from models.dataset import load_dataset
    from models.lab.tune import JOURNAL, plan, tune, write_settings
    from models.pipeline.train import choose_device
    from service.terminal import console, progress_bar

    dataset = load_dataset(data)
    searches = [plan(dataset, model, set_ or []) for model in models.split(",")]
    chosen = choose_device(device)
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar() as bar:
        for search in searches:
            best = tune(search, trials, out / JOURNAL, chosen, bar)
            write_settings(out / f"{search.model}.json", best)
            console.print(f"{out / search.model}.json: {best}")


@app.command()
def lab(
    data: Annotated[
        list[Path], typer.Argument(help="Folders made by dmi prepare; a data set goes by its folder's name.")
    ],
    out: Annotated[Path, typer.Option(envvar="DMI_OUT", help="Folder of runs.parquet and the figures.")] = Path(
        "results"
    ),
    study: Annotated[
        Literal["compare", "ablations", "interests", "additions"],
        typer.Option(
            envvar="DMI_STUDY",
            help="All models; settings of ours varied one at a time; the number of interests; "
            "what dmi-plus has beside its network, given to the others.",
        ),
    ] = "compare",
    models: Annotated[
        str | None, typer.Option(envvar="DMI_MODELS", help="Comma-separated, in place of the study's own.")
    ] = None,
    seeds: Annotated[int, typer.Option(envvar="DMI_SEEDS", min=1, max=1000, help="Runs of each, from seed 0.")] = 3,
    jobs: Annotated[int, typer.Option(envvar="DMI_JOBS", min=1, max=256, help="Runs at a time.")] = 1,
    set_: Set = None,
    results: Results = Path("RESULTS.md"),
) -> None:
    """Models × data × seeds, trained and evaluated → runs.parquet, figures, RESULTS.md. Goes on where it was stopped."""
    from models.dataset import load_dataset
    from models.lab.conduct import conduct
    from models.lab.grid import grid
    from models.lab.report import write_report
    from models.lab.studies import STUDIES
    from service.terminal import progress_bar

    datasets = [load_dataset(path) for path in data]
    names = models.split(",") if models else STUDIES[study].models
    runs = grid(datasets, names, STUDIES[study], seeds, set_ or [])
    settings = [word for assignment in set_ or [] for word in ("--set", assignment)]
    command = shlex.join(
        [
            *("dmi", "lab", *(dataset.path.name for dataset in datasets)),
            *("--study", study, "--models", ",".join(names), "--seeds", str(seeds), "--jobs", str(jobs), *settings),
        ]
    )
    with progress_bar() as bar:
        failures = conduct(runs, out, jobs, command, bar)
    if failures < len(runs):
        write_report(out, results)
    if failures:
        raise RuntimeError(f"{failures} of {len(runs)} runs failed; the same command tries them again")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="What dmi lab wrote.")] = Path("results"),
    results: Results = Path("RESULTS.md"),
) -> None:
    """runs.parquet → figures and RESULTS.md, without training."""
    from models.lab.report import write_report

    write_report(folder, results)


@app.command()
def bench(
    name: Annotated[
        Literal["batches", "encoder", "training", "http", "scale"], typer.Argument(help="What to measure.")
    ],
    folder: Annotated[Path, typer.Option(envvar="DMI_FOLDER", help="What dmi demo made.")] = Path("demo"),
    data: Annotated[
        Path | None, typer.Option(envvar="DMI_DATA", help="Data set folder; unset, the one in --folder.")
    ] = None,
    model: Annotated[str, typer.Option(envvar="DMI_MODEL", help="The network that `training` trains.")] = "dmi-plus",
    seconds: Annotated[
        float, typer.Option(envvar="DMI_SECONDS", min=0.1, max=3600, help="For each line of `http` and `scale`.")
    ] = 10.0,
    url: Annotated[
        str | None,
        typer.Option(envvar="DMI_URL", help="A running service for `http`; its key, if any, in DMI_API_KEY."),
    ] = None,
    rates: Annotated[str, typer.Option(envvar="DMI_RATES", help="Requests a second asked of --url.")] = "100,200,400",
    device: Annotated[str, typer.Option(envvar="DMI_DEVICE", help="Of `training`: cpu (one core), cuda.")] = "cpu",
    set_: Annotated[
        list[str] | None, typer.Option("--set", envvar="DMI_SET", help="Of `training`: name=value, repeatable.")
    ] = None,
) -> None:
    """Figures beside a baseline of the same run: a table, and one JSON line."""
    from models.dataset import load_dataset
    from service.terminal import print_figures, print_rows

    os.environ.pop("DMI_API_KEYS", None)  # the servers that are started to be measured ask nobody for a key
    if name == "http":
        from service.bench.http import bench_http, bench_rates

        if url is None:
            print_rows("GET /match?n=50", bench_http(folder, seconds))
            return
        users = load_dataset(data or folder / "data").user_ids
        asked = _numbers("--rates", rates)
        print_rows("GET /match?n=50", bench_rates(url, asked, seconds, users, os.environ.get("DMI_API_KEY")))
        return
    if name == "scale":
        from service.bench.scale import bench_items, bench_users

        print_rows("users in Redis", bench_users())
        print_rows("items in a worker", bench_items(seconds))
        return
    from models.pipeline.bench import bench_batches, bench_encoder, bench_training
    from models.pipeline.train import choose_device

    dataset = load_dataset(data or folder / "data")
    if name == "batches":
        print_figures("histories/s", bench_batches(dataset))
    elif name == "training":
        print_figures("targets/s", bench_training(dataset, model, set_ or [], choose_device(device)))
    else:
        print_figures("users/s", bench_encoder(folder / "artifacts", folder / "run", dataset))


def _numbers(option: str, text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: numbers separated by commas are needed") from None
    if not all(0 < number <= 100_000 for number in found):
        raise InputError(f"{option} {text}: each is above 0 and at most 100,000 a second")
    return found
