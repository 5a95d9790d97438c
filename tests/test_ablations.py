"""Ablations in RESULTS.md: what differs in one setting alone, on one machine, of the default of now and of older ones."""

from datetime import UTC, datetime

from tests.test_report import report, row


def test_an_ablation_is_compared_over_the_seeds_that_both_have_on_one_machine(tmp_path):
    k8 = {"variant": "num_interests=8", "settings": '{"num_interests":8}'}
    text = report(
        tmp_path,
        row("dmi", recall=0.2),
        row("dmi", seed=1, recall=0.4),
        row("dmi", seed=1, recall=0.42, **k8, **{"valid_recall@50": 0.1}),
        row("dmi", seed=2, recall=0.9, variant="eta=1", settings='{"num_interests":4,"eta":1}'),
        row("dmi", seed=1, recall=0.6, machine="another", **k8),
    )
    assert "| default | 30.00 ± 14.14 | – | 30.00 ± 14.14 | – | 2 | A |" in text
    assert "| `num_interests=8` | 10.00 | -30.00 | 42.00 | +2.00 | 1 | A |" in text
    assert "| `num_interests=8` | 60.00 | – | 60.00 | – | 1 | B |" in text
    assert "| `eta=1` | 90.00 | – | 90.00 | – | 1 | A |" in text
    assert "- Machine B: another\n" in text


def test_ablations_of_an_older_default_stay_where_more_was_varied_then(tmp_path):
    def of(hardness: float, interests: int, **changes) -> dict:
        settings = f'{{"hardness":{hardness},"num_interests":{interests}}}'
        return row("dmi", settings=settings, **changes)

    older = [
        of(0.0, 4),
        of(0.0, 8, variant="num_interests=8", recall=0.22),
        of(0.0, 2, variant="num_interests=2", recall=0.21),
    ]
    now = {"finished": datetime(2026, 2, 1, tzinfo=UTC)}
    text = report(tmp_path, *older, of(1.0, 4, recall=0.3, **now), of(1.0, 8, variant="num_interests=8", **now))
    first, second = text.partition("## Ablations")[2].split("### `dmi` on films")[1:]
    assert "| `num_interests=8` | 20.00 | -10.00 |" in first
    assert second.startswith(", with hardness=0.0\n")
    assert "| `num_interests=8` | 22.00 | +2.00 |" in second
    assert "| `num_interests=2` | 21.00 | +1.00 |" in second
    text = report(tmp_path, of(1.0, 2, variant="num_interests=2", **now))  # as much is known of the default of now
    assert "with hardness=0.0" not in text


def test_the_default_that_ran_last_is_the_newest_however_early_it_began(tmp_path):
    def of(hardness: float, month: int, **changes) -> dict:
        finished = datetime(2026, month, 1, tzinfo=UTC)
        return row("dmi", settings=f'{{"hardness":{hardness},"num_interests":4}}', finished=finished, **changes)

    text = report(tmp_path, of(0.0, 1), of(1.0, 2), of(0.0, 3, seed=1))
    study = text.partition("## Ablations")[2]
    assert "### `dmi` on films\n" in study
    assert "| `hardness=1` |" in study
    assert "| `hardness=0` |" not in study
    assert "from the rows of 3 runs" in text  # the older default is shown as a variant
    assert "not shown" not in text
