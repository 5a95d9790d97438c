"""The command line: exit codes, one line on stderr that says what to do, nothing half-written."""

import resource
import shutil
import socket
import subprocess
import sys

import pytest
from safetensors.torch import load_file

from models.bundle import current
from models.pipeline.planted import plant, write_planted
from tests.conftest import dmi, free_port

SMALL = [word for value in ("dim=16", "max_len=10", "max_steps=20", "eval_every=10") for word in ("--set", value)]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write_planted(plant(200), tmp_path_factory.mktemp("log"))


def refused(finished: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line on stderr of a command that ended with this code."""
    assert finished.returncode == code, finished.stderr
    lines = finished.stderr.strip().splitlines()
    assert len(lines) == 1, finished.stderr
    assert lines[0].startswith("dmi: ")
    return lines[0]


def test_the_whole_path_by_its_commands(log, tmp_path):
    events, items = log
    data, run, artifacts = tmp_path / "data", tmp_path / "run", tmp_path / "artifacts"
    for command in (
        ["prepare", events, "--out", data, "--items", items],
        ["train", data, "--out", run, *SMALL],
        ["evaluate", run, "--split", "valid", "--json", tmp_path / "figures.json"],
        ["build", run, "--out", artifacts, "--promote"],
        ["evaluate", artifacts / "current"],
        ["load", data, "--artifacts", artifacts],
    ):
        finished = dmi(*command)
        if command[1] == artifacts / "current":
            assert "is no bundle" in refused(finished, 2)  # `current` is a file that names one
        else:
            assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "figures.json").exists()
    assert dmi("evaluate", current(artifacts)).returncode == 0


def test_options_are_environment_variables_too(log, tmp_path):
    assert dmi("prepare", log[0], DMI_OUT=str(tmp_path / "data"), DMI_MIN_COUNT="6").returncode == 0
    assert '"min_count": 6' in (tmp_path / "data" / "dataset.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bake"], "No such command 'bake'"),
        (["prepare"], "Missing argument 'events'"),
        (["prepare", "a.csv"], "Missing option '--out'"),
        (["prepare", "absent.csv", "--out", "x"], "absent.csv does not exist"),
        (["prepare", "a.csv", "--out", "x", "--min-count", "1"], "Input should be greater than or equal to 2"),
        (["train", "absent", "--out", "x"], "absent is no data set"),
        (["evaluate", "absent"], "absent is no bundle"),
        (["evaluate", "absent", "--split", "train"], "'train' is not one of 'valid', 'test'"),
        (["build", "absent"], "absent is no training run"),
        (["load", "absent"], "absent is no data set"),
        (["serve", "--artifacts", "absent", "--workers", "0"], "Input should be greater than or equal to 1"),
        (["serve"], "artifacts serves nothing yet"),
    ],
)
def test_bad_usage_ends_with_2(arguments, message, tmp_path):
    finished = subprocess.run(
        [sys.executable, "-m", "service", *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert message in refused(finished, 2)
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_missing_is_named(tmp_path):
    without_optuna = "import sys; sys.modules['optuna'] = None; from service.cli import main; main()"
    command = [sys.executable, "-c", without_optuna, "tune", "data", "--out", "found"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "optuna is not installed; run: pip install -c constraints.txt -e '.[lab,bench]'" in refused(finished, 1)


def test_serving_nothing_or_something_damaged_ends_with_2(artifacts, redis_url, tmp_path):
    nothing = dmi("serve", "--artifacts", tmp_path / "empty", "--redis", redis_url)
    assert "serves nothing yet" in refused(nothing, 2)
    shutil.copytree(artifacts, tmp_path / "artifacts")
    (current(tmp_path / "artifacts") / "encoder.onnx").write_bytes(b"damaged")
    damaged = dmi("serve", "--artifacts", tmp_path / "artifacts", "--redis", redis_url)
    assert "encoder.onnx was altered" in refused(damaged, 2)


@pytest.mark.parametrize("url", ["nonsense://x", "redis://localhost/0?colour=red"])
def test_what_is_no_redis_url_ends_with_2(artifacts, run, tmp_path, url):
    assert f"--redis {url}: " in refused(dmi("serve", "--artifacts", artifacts, "--redis", url), 2)
    assert f"--redis {url}: " in refused(dmi("build", run, "--out", tmp_path / "out", "--redis", url), 2)
    assert not (tmp_path / "out").exists()


def test_weights_that_are_none_end_with_2(artifacts, redis_url):
    finished = dmi("serve", "--artifacts", artifacts, "--redis", redis_url, DMI_EVENT_WEIGHTS="view=much")
    assert "DMI_EVENT_WEIGHTS: " in refused(finished, 2)


def test_keys_that_are_none_do_not_open_the_door(artifacts, redis_url):
    finished = dmi("serve", "--artifacts", artifacts, "--redis", redis_url, DMI_API_KEYS=" , ")
    assert "DMI_API_KEYS: it is set, and names no key" in refused(finished, 2)


def test_a_variable_out_of_range_ends_with_2(artifacts, redis_url):
    finished = dmi("serve", "--artifacts", artifacts, "--redis", redis_url, DMI_MAX_BATCH="0")
    assert "DMI_MAX_BATCH: Input should be greater than or equal to 1" in refused(finished, 2)


def test_a_file_where_a_folder_is_needed_ends_with_2(log, tmp_path):
    (tmp_path / "file").write_text("mine")
    for command in (["prepare", log[0], "--out", tmp_path / "file"], ["prepare", log[0], "--out", tmp_path / "file/x"]):
        assert "choose another --out" in refused(dmi(*command), 2)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_demo_does_not_touch_a_folder_of_something_else(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    finished = dmi("demo", "--once", "--folder", tmp_path, "--port", free_port())
    assert "holds something other than a demo" in refused(finished, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_unreachable_redis_ends_with_1(dataset):
    url = f"redis://127.0.0.1:{free_port()}"
    assert f"no Redis answers at {url}" in refused(dmi("load", dataset.path, "--redis", url), 1)


def test_a_password_in_the_url_of_redis_is_not_shown(artifacts, dataset):
    for command, url in (
        (["load", dataset.path], f"redis://:the-secret@127.0.0.1:{free_port()}"),
        (["serve", "--artifacts", artifacts], "redis://me:the-secret@127.0.0.1/0?colour=red&password=the-secret"),
    ):
        finished = dmi(*command, "--redis", url)
        assert "redis://…@127.0.0.1" in finished.stderr
        assert "the-secret" not in finished.stdout + finished.stderr


def test_a_port_in_use_ends_with_1(artifacts, redis_url):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = dmi("serve", "--artifacts", artifacts, "--redis", redis_url, "--port", port)
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in refused(finished, 1)


def dmi_on_a_full_disk(room: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command that can write no file beyond `room` bytes: the disk fills while it writes."""
    return subprocess.run(
        [sys.executable, "-m", "service", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )


def test_a_full_disk_ends_with_1_and_leaves_what_was_there(log, tmp_path):
    data, run, artifacts = tmp_path / "data", tmp_path / "run", tmp_path / "artifacts"
    assert "is the disk full?" in refused(dmi_on_a_full_disk(20_000, "prepare", log[0], "--out", data), 1)
    assert list(tmp_path.iterdir()) == []
    assert dmi("prepare", log[0], "--out", data).returncode == 0
    stopped = dmi_on_a_full_disk(20_000, "train", data, "--out", run, *SMALL)
    assert "is the disk full?" in refused(stopped, 1)
    assert [path.name for path in run.iterdir()] == ["run.json"]
    assert dmi("train", data, "--out", run, *SMALL, "--resume").returncode == 0
    assert dmi("build", run, "--out", artifacts, "--promote").returncode == 0
    before = sorted(path.name for path in artifacts.iterdir())
    assert "is the disk full?" in refused(dmi_on_a_full_disk(20_000, "build", run, "--out", artifacts, "--promote"), 1)
    assert sorted(path.name for path in artifacts.iterdir()) == before
    assert dmi("evaluate", current(artifacts)).returncode == 0
    assert load_file(current(artifacts) / "weights.safetensors")


def test_the_embedded_redis_keeps_what_it_was_given(log, artifacts, tmp_path):
    from redis import Redis

    from service.embedded_redis import embedded_redis

    with embedded_redis(tmp_path / "redis") as url, Redis.from_url(url) as client:
        client.set("kept", "yes")
        with embedded_redis(tmp_path / "redis") as same:  # a second user finds the running one
            assert same == url
        assert client.ping()
    with embedded_redis(tmp_path / ("deep-" * 40)) as url, Redis.from_url(url) as client:  # longer than a socket's path
        assert client.get("kept") is None
    with embedded_redis(tmp_path / "redis") as url, Redis.from_url(url) as client:
        assert client.get("kept") == b"yes"


def test_the_demo_runs_once_and_leaves_nothing_running(tmp_path):
    finished = dmi("demo", "--once", "--folder", tmp_path / "demo", "--port", free_port(), timeout=600)
    assert finished.returncode == 0, finished.stderr
    for shown in (
        "Planting",
        "Training",
        "R@50",
        "curl 'http://127.0.0.1:",
        "/docs",
        "/?user=user-0000",
        "user-0000, who likes",
    ):
        assert shown in finished.stdout, finished.stdout
    still_running = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True)
    assert still_running.stdout == ""
