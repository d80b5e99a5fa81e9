import pytest

from reports import sentences
from reports.statistics import Agreement


def frame_of(folder, number=0):
    return folder.load().of_grid(folder.study.grids[number])


def test_one_seed_claims_no_difference(make_folder):
    folder = make_folder(1)
    folder.add(folder.cell(0, 0), 5.0)
    text = sentences.under_table(frame_of(folder), published_setup="COCO, 600 px")
    assert "One seed per row" in text and "no difference between rows is claimed" in text
    assert "only the order" in text and "Noise floor" not in text
    assert "is not a finding" in sentences.seeds_warning(folder.load())


def test_the_noise_floor_leaves_out_diverged_rows(make_folder):
    folder = make_folder(2)
    for seed, ap in ((1, 10.0), (2, 12.0)):
        folder.add(folder.cell(0, 0, seed), ap)
    folder.add(folder.cell(0, 1, 1), 30.0)
    folder.add(folder.cell(0, 1, 2), status="diverged")
    text = sentences.under_table(frame_of(folder), published_setup="")
    # {10, 12}: sqrt(2 / 1) = 1.414; with the diverged run's 0.0 it would be sqrt(452 / 2) = 15.0
    assert "pooled standard deviation of 1.4 AP (1 row, 1 degree of freedom)" in text
    assert "A run that diverged counts as AP 0.0." in text
    assert "only the order" not in text


def test_the_noise_floor_is_unknown_without_two_runs_of_a_row(make_folder):
    folder = make_folder(2)
    folder.add(folder.cell(0, 0, 1), 10.0)
    assert "noise floor is unknown" in sentences.under_table(frame_of(folder))


def test_the_title_does_not_speak_of_other_data(make_folder):
    folder = make_folder()
    folder.add(folder.cell(0, 0), 5.0)
    assert sentences.title(folder.load()) == "A small study"
    folder.add(folder.cell(0, 0), 5.0, dataset={"name": "bccd"})
    assert sentences.title(folder.load()) == "small on bccd"


def test_the_summary_counts_what_is_there(broken_folder):
    text = sentences.summary(broken_folder.load())
    assert "small trains 5 cells on digits_in_scenes, every setting with 1 seed" in text
    assert "2 done, 1 diverged, 1 failed, 1 missing" in text


def test_the_caption_of_the_dots_says_what_is_drawn(make_folder):
    one, several = make_folder(1), make_folder(2)
    assert sentences.dots_caption(frame_of(one), True) == (
        "AP of each row; each side has its own scale."
    )
    assert sentences.dots_caption(frame_of(several, 1), False) == (
        "AP of each row, mean over seeds with bars of ± one sample standard deviation; "
        "CE is grey, FL* is orange."
    )


def test_the_best_setting_of_each_loss(make_folder):
    folder = make_folder(2)
    for seed in (1, 2):
        folder.add(folder.cell(0, 0, seed), 5.0)
        folder.add(folder.cell(0, 1, seed), 10.0 + seed)
    folder.add(folder.cell(1, 2, 1), status="diverged")
    ce, star = sentences.best_settings(folder.load())
    # mean of 11 and 12, sd sqrt(0.5)
    assert ce == {
        "loss": "CE", "setting": "α = 0.5", "AP": "11.5 ± 0.7", "seeds": "2 of 2", "settings": "2",
    }  # fmt: skip
    assert (star["loss"], star["AP"], star["seeds"]) == ("FL*", "0.0", "1 of 2, 1 diverged")


def test_no_best_setting_without_a_result(make_folder):
    assert sentences.best_settings(make_folder().load()) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Agreement(0.8095, 0.0107, 7, 0), "Kendall's τ-b = 0.81 (p = 0.011, 7 rows)."),
        (
            Agreement(-0.5, 0.0001, 6, 1),
            "−0.50 (p < 0.001, 6 rows; 1 row without a value left out)",
        ),
        (
            Agreement(None, None, 3, 0, "all our values are equal"),
            "undefined: all our values are equal (3 rows compared)",
        ),
    ],
)
def test_agreement_in_words(found, said):
    assert said in sentences.agreement(found)


def test_orders_name_each_table_that_can_be_compared():
    text = sentences.orders(
        {"alpha": Agreement(0.8, 0.01, 7, 0), "gamma": Agreement(None, None, 1, 6, "...")}
    )
    assert "0.80 in table alpha" in text and "gamma" not in text
    assert sentences.orders({}) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(41.2, "41 s"), (725, "12 min 5 s"), (10_921, "3 h 2 min"), (float("nan"), "")],
)
def test_durations(seconds, text):
    assert sentences.duration(seconds) == text
