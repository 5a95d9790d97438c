"""RESULTS.md says for whom refinement pays: users by the length of their history."""

from tests.test_report import report, row

SHORT, LONG = [1, 4] * 30, [20, 49] * 30
FOUND = {"user_history_length": [*SHORT, *LONG, *[100] * 49]}


def recalls(short, long):
    return [*[short] * len(SHORT), *[long] * len(LONG), *[0.9] * 49]


def test_users_are_counted_by_the_length_of_their_history(tmp_path):
    text = report(
        tmp_path,
        row("dmi-plus", **FOUND, **{"user_coarse_recall@50": recalls(0.4, 0.2), "user_recall@50": recalls(0.3, 0.2)}),
        row(
            "dmi-plus", 1, **FOUND, **{"user_coarse_recall@50": recalls(0.4, 0.2), "user_recall@50": recalls(0.3, 0.4)}
        ),
    )
    lines = [line for line in text.splitlines() if line.startswith("| films | `dmi-plus` |") and "to" in line]
    assert lines == [
        "| films | `dmi-plus` | 1 to 4 | 60 | 40.00 | 30.00 | -25.0 % | -25.0 … -25.0 % |",
        "| films | `dmi-plus` | 20 to 49 | 60 | 20.00 | 30.00 | +50.0 % | +0.0 … +100.0 % |",
    ]
    assert "100 or more" not in text  # 49 users


def test_rows_of_before_and_models_without_refinement_have_no_such_table(tmp_path):
    before = row("dmi-plus", recall=0.3, **{"user_coarse_recall@50": [0.1] * 200})
    assert "by length of history" not in report(tmp_path, before, row("sasrec", user_history_length=[9] * 200))
