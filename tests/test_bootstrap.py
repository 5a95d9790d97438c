"""`dmi bootstrap`: the demo's bundle and histories where there are none, and nothing else touched."""

import shutil
import subprocess
import sys

import pytest
from redis import Redis
from rich.progress import Progress

from models.bundle import current, promote
from models.pipeline.build import build
from models.pipeline.planted import plant, write_planted
from models.pipeline.prepare import prepare
from models.pipeline.recipe import make_recipe
from models.pipeline.train import train
from service.embedded_redis import embedded_redis
from tests.conftest import dmi, wait_until

USERS = 4000
OWN_EVENT = {"0" * 16 + "yoga-01": 2e9}


@pytest.fixture
def redis(tmp_path):
    with embedded_redis(tmp_path / "redis") as url, Redis.from_url(url) as client:
        client.url = url
        yield client


@pytest.fixture
def installed(artifacts, tmp_path):
    """The demo's bundle, promoted, as a bootstrap before has left it."""
    return shutil.copytree(artifacts, tmp_path / "artifacts")


def arguments(tmp_path, artifacts, redis):
    return ["bootstrap", "--folder", tmp_path / "demo", "--artifacts", artifacts, "--redis", redis.url]


def histories(redis):
    return len(redis.keys("dmi:{*}:history"))


def test_an_empty_redis_beside_the_demos_bundle_is_filled_once(installed, redis, tmp_path):
    served = current(installed)
    assert "4,000 histories stored" in dmi(*arguments(tmp_path, installed, redis)).stdout
    assert histories(redis) == USERS
    redis.zadd("dmi:{user-0000}:history", OWN_EVENT)
    before = redis.zrange("dmi:{user-0000}:history", 0, -1)
    assert "nothing to do" in dmi(*arguments(tmp_path, installed, redis)).stdout
    assert redis.zrange("dmi:{user-0000}:history", 0, -1) == before
    assert current(installed) == served


def test_a_load_that_was_killed_is_done_again(installed, redis, tmp_path):
    command = [sys.executable, "-m", "service", *map(str, arguments(tmp_path, installed, redis))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as loading:
        wait_until(lambda: redis.dbsize() > 0, "a first history")
        loading.kill()
    assert dmi(*arguments(tmp_path, installed, redis)).returncode == 0
    assert histories(redis) == USERS


def test_histories_are_not_mixed_with_a_bundle_of_other_data(redis, tmp_path):
    events, items = write_planted(plant(200), tmp_path)
    with Progress(disable=True) as bar:
        dataset = prepare(events, tmp_path / "data", items, 5, bar)
        train(dataset, tmp_path / "run", make_recipe("popular", 0, [], dataset), "cpu", resume=False, bar=bar)
    promote(tmp_path / "own", build(tmp_path / "run", tmp_path / "own").version)
    served = current(tmp_path / "own")
    finished = dmi(*arguments(tmp_path, tmp_path / "own", redis))
    assert finished.returncode == 0
    assert "of other data" in " ".join(finished.stdout.split())
    assert redis.dbsize() == 0
    assert current(tmp_path / "own") == served


def test_a_folder_of_something_else_is_left_alone(installed, redis, tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "thesis.tex").touch()
    finished = dmi(*arguments(tmp_path, installed, redis))
    assert finished.returncode == 2
    assert "holds something other than a demo" in finished.stderr
