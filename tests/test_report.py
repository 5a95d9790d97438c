"""RESULTS.md: computed from the rows alone, the same each time, losses like wins."""

from datetime import UTC, datetime

import numpy as np
import pytest

from models.errors import InputError
from models.lab.report import write_report
from models.lab.rows import ACCURACY, METRICS, append_row
from tests.conftest import dmi

USERS = np.random.default_rng(0).random(200)


def row(model, seed=0, recall=0.2, **changes):
    metrics = dict.fromkeys(METRICS, recall)
    return {
        **{"data": "films", "fingerprint": "f", "model": model, "variant": "default", "seed": seed},
        **{"settings": '{"num_interests":4}', "finished": datetime(2026, 1, 1, seed, tzinfo=UTC)},
        **{"command": "dmi lab films", "machine": "a machine", "versions": "Python 3", "git_revision": "abc"},
        **{"threads": 1, "num_users": 2000, "num_items": 900, "num_events": 50_000, "num_test_users": 200},
        **{"best_step": 900 + 200 * seed, "steps_done": 2000},
        **{"parameters": 64_000, "train_seconds": 60.0, "encode_ms": 0.25, "answer_ms": 0.5, "valid_recall@50": recall},
        **{"user_recall@50": recall * USERS, "step_recall@50": [recall], **metrics, **changes},
    }


def report(folder, *rows):
    for each in rows:
        append_row(folder / "results", each)
    write_report(folder / "results", folder / "RESULTS.md")
    return (folder / "RESULTS.md").read_text()


def test_wins_and_losses_are_printed_alike(tmp_path):
    text = report(
        tmp_path, row("dmi-plus"), row("remi", recall=0.1), row("mind", recall=0.16), row("sasrec", recall=0.25)
    )
    assert "| Model | Against | Better | Worse |" in text
    assert "| `dmi-plus` | the best of `mind`, `comirec-sa`, `comirec-dr`, `remi` | films +25.0 % | – |" in text
    assert "| `dmi-plus` | `sasrec` | – | films -20.0 % |" in text
    assert (
        "| films | `dmi-plus` | `mind`, the best of 2 | better | +25.0 % | +25.0 … +25.0 % | 1 / 1 | – | – | – |"
        in text
    )
    assert "| films | `dmi-plus` | `sasrec` | worse | -20.0 % | -20.0 … -20.0 % | 1 / 1 | – | – | – |" in text


def test_baselines_with_our_additions_are_rivals_too_and_a_group_of_one_is_named_so(tmp_path):
    start = {"variant": "item_vectors=cooccurrence", "settings": '{"num_interests":4,"item_vectors":"cooccurrence"}'}
    text = report(
        tmp_path,
        row("dmi-plus"),
        row("remi", recall=0.1),
        row("sasrec", recall=0.1),
        row("sasrec", recall=0.25, **start),
    )
    assert "| films | `dmi-plus` | `remi`, the best of 1 | better | +100.0 % |" in text
    assert "| `dmi-plus` | the best baseline with one of our additions | – | films -20.0 % |" in text
    added = "| films | `dmi-plus` | `sasrec` with `item_vectors=cooccurrence`, the best of 1 | worse | -20.0 % |"
    assert added in text


def test_the_first_table_has_every_model_on_every_data_set(tmp_path):
    text = report(
        tmp_path,
        row("dmi-plus", recall=0.3),
        row("dmi-plus", seed=1, recall=0.4),
        row("popular", recall=0.05),
        row("remi", recall=0.36),
        row("remi", recall=0.2, data="shop"),
    )
    table = """
| Data (test users) | `popular` | `remi` | `dmi-plus` |
|---|---:|---:|---:|
| films (200) | 5.00 | **36.00** | 35.00 |
| shop (200) | – | **20.00** | – |
"""
    assert table in text


def test_models_are_sorted_with_mean_and_spread_over_seeds_and_the_best_is_bold(tmp_path):
    text = report(tmp_path, row("remi", recall=0.1), row("dmi", recall=0.2), row("dmi", seed=1, recall=0.3))
    tables = text.partition("## Data by data")[2]
    lines = [line for line in tables.splitlines() if line.startswith(("| `dmi` |", "| `remi` |"))]
    assert lines[0].startswith("| `dmi` | **25.00 ± 7.07** | **25.00 ± 7.07** |")
    assert lines[0].endswith("| 64,000 | 60 | 0.25 | 0.50 | 1,000 of 2,000 | 2 |")
    assert lines[1].startswith("| `remi` | 10.00 |")


def test_refinement_ablations_and_interests_are_shown_where_there_are_any(tmp_path):
    assert "Ablations" not in report(tmp_path, row("dmi", **{"step_recall@50": [0.1, 0.2]}, shift=0.3))
    k8 = '{"num_interests":8}'
    text = report(tmp_path, row("dmi", variant="num_interests=8", recall=0.22, settings=k8))
    assert "| `dmi` | 10.00 | 20.00 | +100.0 % |" in text
    assert "| `num_interests=8` | 22.00 | +2.00 | 22.00 | +2.00 | 1 | A |" in text
    assert "| Model | Shift |" in text
    assert "](results/steps.svg)" in text
    assert "](results/interests.svg)" in text
    assert "diversity.svg" not in text


def test_a_model_is_told_from_itself_without_refinement_over_the_seeds_that_measured_it(tmp_path):
    coarse = {"user_coarse_recall@50": 0.16 * USERS}
    removed = {"user_new_recall@50": 0.1 * USERS}
    text = report(tmp_path, row("dmi", **coarse, **removed), row("dmi", seed=1, recall=0.3), row("dmi-plus"))
    assert "| `dmi` | itself without refinement | films +25.0 % |" in text
    assert "| films | `dmi` | `dmi`, steps=0 | better | +25.0 % | +25.0 … +25.0 % | 1 / 1 | – | – | – |" in text
    both = {**coarse, "user_new_recall@50": 0.3 * USERS, "user_new_coarse_recall@50": 0.4 * USERS}
    text = report(tmp_path, row("dmi", seed=2, **both))
    gains = "+25.0 % | +25.0 … +25.0 % | 2 / 2 | -25.0 % | -25.0 … -25.0 % | 1 / 1 |"
    assert f"| films | `dmi` | `dmi`, steps=0 | better | {gains}" in text
    assert "`dmi-plus`, steps=0" not in text


def test_what_steps_add_has_a_spread_over_seeds(tmp_path):
    text = report(
        tmp_path,
        row("dmi", **{"step_recall@50": [0.1, 0.2]}),
        row("dmi", seed=1, **{"step_recall@50": [0.1, 0.11]}),
    )
    assert "| `dmi` | 10.00 | 15.50 | +55.0 ± 63.6 % |" in text


def diversified(strengths, recall, diversity):
    return {"lambda": strengths, "lambda_recall": recall, "lambda_diversity": diversity}


def test_ours_are_compared_in_diversity_where_they_find_no_less(tmp_path):
    text = report(
        tmp_path,
        row("dmi-plus", **diversified([0.0, 0.1, 1.0], [0.3, 0.2, 0.1], [0.4, 0.6, 0.7])),
        row("dmi-plus", seed=1, **diversified([0.0, 0.1, 1.0], [0.3, 0.22, 0.1], [0.4, 0.7, 0.7])),
        row("comirec-sa", **diversified([0.0, 0.1, 1.0], [0.21, 0.2, 0.1], [0.5, 0.8, 0.9])),
        row("mind", **diversified([0.0, 0.1, 1.0], [0.25, 0.1, 0.1], [0.5, 0.8, 0.9])),
        row("remi", **diversified([0.0, 0.1, 1.0], [0.31, 0.2, 0.1], [0.3, 0.8, 0.9])),
    )
    assert "| films | `dmi-plus` | `comirec-sa` | 21.00 | 50.00 | 0.1 | 21.00 | 65.00 | no less diverse |" in text
    assert "| films | `dmi-plus` | `mind` | 25.00 | 50.00 | 0 | 30.00 | 40.00 | less diverse |" in text
    assert "| films | `dmi-plus` | `remi` | 31.00 | 30.00 | – | – | – | not reached |" in text
    assert "no less Recall" not in report(tmp_path / "without", row("dmi"), row("remi"))


def test_models_without_an_interval_are_shown_as_not_comparable(tmp_path):
    one_user = {"user_recall@50": [0.5], "num_test_users": 1}
    text = report(tmp_path, row("dmi", **one_user), row("sasrec", **one_user))
    assert "| Model | Against | Not comparable |" in text
    assert "| `dmi` | `sasrec` | films |" in text
    assert "| films | `dmi` | `sasrec` | not comparable | – | – | 1 / 1 | – | – | – |" in text


def test_answers_without_items_of_the_history_are_compared_over_the_seeds_that_measured_them(tmp_path):
    assert "history removed from the answers:" not in report(tmp_path / "without", row("dmi"))
    removed = {**{f"new_{metric}": 0.05 for metric in ACCURACY}, "user_new_recall@50": 0.05 * USERS}
    better = {**{f"new_{metric}": 0.1 for metric in ACCURACY}, "user_new_recall@50": 0.1 * USERS}
    text = report(
        tmp_path / "with",
        row("dmi", recall=0.3, **removed),
        row("dmi", seed=1, recall=0.3),
        row("remi", recall=0.2, **better),
    )
    lines = [line for line in text.splitlines() if line.endswith("| 1 |") and line.startswith(("| `dmi`", "| `remi`"))]
    assert lines[-2:] == [
        "| `remi` | 10.00 | 10.00 | 10.00 | 10.00 | 10.00 | 10.00 | 1 |",
        "| `dmi` | 5.00 | 5.00 | 5.00 | 5.00 | 5.00 | 5.00 | 1 |",
    ]
    gains = "+50.0 % | +50.0 … +50.0 % | 2 / 1 | -50.0 % | -50.0 … -50.0 % | 1 / 1 |"
    assert f"| films | `dmi` | `remi`, the best of 1 | better | {gains}" in text
    assert "Diagnosis" not in text


def test_means_over_runs_of_several_revisions_are_named(tmp_path):
    assert "several revisions" not in report(tmp_path, row("dmi"), row("remi", git_revision="def"))
    text = report(tmp_path, row("dmi", seed=1, git_revision="def"), row("dmi", seed=2, git_revision=None))
    assert "- Means over runs of several revisions (abc, def, unknown): films · dmi · default\n" in text


def test_of_other_data_of_the_same_name_the_newest_counts(tmp_path):
    newer = row("dmi", recall=0.3, fingerprint="g", finished=datetime(2026, 2, 1, tzinfo=UTC))
    text = report(tmp_path, newer, row("dmi", recall=0.4), row("remi", recall=0.1))
    assert "| `dmi` | **30.00** |" in text
    assert "| `remi` |" not in text


def test_of_several_settings_the_newest_count(tmp_path):
    older = row("dmi", recall=0.4)
    newer = row("dmi", recall=0.3, settings='{"num_interests":2,"eta":1}', finished=datetime(2026, 2, 1, tzinfo=UTC))
    text = report(tmp_path, newer, older)
    assert "| `dmi` | **30.00** |" in text
    assert "Rows of older settings or data, in `runs.parquet` and not shown: 1" in text


def test_a_variant_of_other_settings_is_not_compared_with_the_default(tmp_path):
    eta = '{"num_interests":4,"eta":%s,"dropout":%s}'
    text = report(
        tmp_path,
        row("dmi", settings=eta % (0.5, 0.2)),
        row("dmi", variant="eta=1", settings=eta % (1, 0.2)),
        row("dmi", variant="eta=0.25", settings=eta % (0.25, 0.5)),
    )
    assert "| `eta=1` |" in text
    assert "| `eta=0.25` |" not in text


def test_notes_are_taken_over_and_the_same_rows_give_the_same_bytes(tmp_path):
    report(tmp_path, row("dmi", **{"step_recall@50": [0.1, 0.2]}, **diversified([0.0], [0.2], [0.9])))
    (tmp_path / "results" / "notes.md").write_text("A cosine schedule did *not* help.\n")
    files = [tmp_path / "RESULTS.md", *(tmp_path / "results" / f"{name}.svg" for name in ("steps", "diversity"))]
    contents = []
    for _ in range(2):
        shown = dmi("report", tmp_path / "results", "--results", tmp_path / "RESULTS.md")
        assert shown.returncode == 0, shown.stderr
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]
    assert "\n## Notes\n\nA cosine schedule did *not* help.\n" in files[0].read_text()


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no finished run; make one with: dmi lab"):
        write_report(tmp_path, tmp_path / "RESULTS.md")


def test_times_are_of_one_machine_the_usual(tmp_path):
    faster = {"machine": "another", "train_seconds": 1.0}
    text = report(tmp_path, row("dmi"), row("dmi", seed=1), row("dmi", seed=2, **faster), row("remi", **faster))
    lines = [line for line in text.splitlines() if line.endswith((" | 3 |", " of 2,000 | 1 |"))]
    assert any(line.startswith("| `dmi` ") and "| 64,000 | 60 | 0.25 | 0.50 |" in line for line in lines)
    assert any(line.startswith("| `remi` ") and "| 64,000 | – | – | – |" in line for line in lines)
