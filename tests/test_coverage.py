"""Coverage is counted from the answers that were given."""

from service.coverage import BLOCK
from tests.conftest import serving
from tests.test_service import series


def test_coverage_is_the_share_of_the_catalogue_that_a_block_of_answers_showed(artifacts, bundle, redis_url, tmp_path):
    name = f'dmi_catalogue_coverage{{version="{bundle.version}"}}'
    sessions = [{"history": [item], "n": 10} for item in bundle.item_ids[: BLOCK - 1]]
    with serving(artifacts, redis_url, tmp_path / "log", DMI_MAX_INFLIGHT="1000") as service:
        shown = set()
        for start in range(0, len(sessions), 250):
            body = {"requests": sessions[start : start + 250]}
            for result in service.client.post("/match", json=body).json()["results"]:
                shown |= {candidate["item_id"] for candidate in result["candidates"]}
        assert name not in series(service.client)  # one answer is missing
        shown |= set(service.candidates("nobody", n=20))
        assert series(service.client)[name] == len(shown) / len(bundle.item_ids)
        shown = set(service.candidates("nobody", n=20))  # the next block has not counted yet
        assert series(service.client)[name] > len(shown) / len(bundle.item_ids)
