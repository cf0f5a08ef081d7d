"""Splits: disjoint, complete, functions of seed and names alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from anymod.cohorts import (
    Cohort,
    Modality,
    Subject,
    check_visits_together,
    draw_folds,
    draw_splits,
    kinds_from_list,
    patient_of,
    patients_of,
    splits_from_list,
)
from anymod.cohorts.patients import possible_visits
from anymod.errors import CohortError

NAMES = [f"s{number:02d}" for number in range(20)]


@given(st.permutations(NAMES), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_order_of_the_names_changes_nothing(names: list[str], seed: int) -> None:
    assert draw_splits(names, seed) == draw_splits(NAMES, seed)


@given(st.integers(1, 40), st.floats(0, 0.45), st.floats(0, 0.45))
@settings(max_examples=40, deadline=None)
def test_every_subject_has_one_split_and_some_train(count: int, validation: float, test: float) -> None:
    names = [str(number) for number in range(count)]
    splits = draw_splits(names, 3, validation, test)
    assert list(splits) == names
    assert "train" in splits.values()


def test_fractions_are_kept() -> None:
    splits = list(draw_splits(NAMES, 0, validation=0.1, test=0.25).values())
    assert (splits.count("train"), splits.count("validation"), splits.count("test")) == (13, 2, 5)


def test_named_test_subjects_are_the_test_set() -> None:
    splits = draw_splits(NAMES, 0, test_subjects=["s03", "s17"])
    assert {name for name, split in splits.items() if split == "test"} == {"s03", "s17"}
    assert list(splits.values()).count("validation") == 3


def test_seeds_give_different_splits() -> None:
    assert len({tuple(draw_splits(NAMES, seed).values()) for seed in range(5)}) == 5


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.1), (0.1, 1.0)])
def test_unusable_fractions_are_refused(validation: float, test: float) -> None:
    with pytest.raises(CohortError, match="unusable fractions"):
        draw_splits(NAMES, 0, validation, test)


def test_all_subjects_may_be_for_the_test() -> None:
    assert set(draw_splits(NAMES, 0, validation=0.0, test=1.0).values()) == {"test"}


def test_unknown_test_subject_is_refused() -> None:
    with pytest.raises(CohortError, match="'s99' was not found; did you mean"):
        draw_splits(NAMES, 0, test_subjects=["s99"])


def test_list_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("subject,split\nb,test\na,0\n")
    assert splits_from_list(path, ["a", "b"]) == {"a": "0", "b": "test"}
    assert kinds_from_list(path) == {}


def test_list_may_name_kinds(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("subject,split,kind\nb,test,\na,0,head\n")
    assert splits_from_list(path, ["a", "b"]) == {"a": "0", "b": "test"}
    assert kinds_from_list(path) == {"a": "head"}
    path.write_text("subject,split,kind\na,0,../head\n")
    with pytest.raises(CohortError, match=r"unusable kind .* '\.\./head'"):
        kinds_from_list(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,split\na,train\n", "subject without split .* 'b'"),
        ("subject,split\na,train\nb,train\nc,test\n", "unknown subject .* 'c'"),
        ("subject,split\na,train\na,test\nb,test\n", "duplicate subject .* 'a'"),
        ("subject,split\na,train\nb,trian\n", "unknown split"),
        ("name,split\na,train\nb,train\n", "broken table"),
        ("subject,split\na,train,x\nb,train\n", "broken table"),
        ("subject,split,kind\na,train,x\nb,train\n", "broken table"),
        ("subject,split,kinds\na,train,x\nb,train,x\n", "broken table"),
        ("subject,split,kind,age\na,train,x,1\nb,train,x,1\n", "broken table"),
        ("subject\na\nb\n", "broken table"),
    ],
)
def test_wrong_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "splits.csv"
    path.write_text(text)
    with pytest.raises(CohortError, match=message):
        splits_from_list(path, ["a", "b"])


@given(st.lists(st.sampled_from("abc"), min_size=12, max_size=40), st.integers(0, 1000))
def test_strata_are_split_in_proportion(kinds: list[str], seed: int) -> None:
    strata = {f"s{number}": kind for number, kind in enumerate(kinds)}
    splits = draw_splits(list(strata), seed, 0.25, 0.25, strata=strata)
    for kind in set(kinds):
        total = kinds.count(kind)
        for part, fraction in (("test", 0.25), ("validation", 0.25), ("train", 0.5)):
            there = sum(split == part and strata[name] == kind for name, split in splits.items())
            assert abs(there - fraction * total) <= 2
    assert sum(split == "test" for split in splits.values()) == round(0.25 * len(kinds))


def test_one_stratum_changes_nothing() -> None:
    assert draw_splits(NAMES, 4, strata=dict.fromkeys(NAMES, "x")) == draw_splits(NAMES, 4)


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("sub-01_ses-pre", "sub-01"),
        ("sub-01", "sub-01"),
        ("UPENN-GBM-00001_21", "UPENN-GBM-00001"),
        ("BraTS-GLI-00005-101", "BraTS-GLI-00005"),
        ("BraTS20_Training_001", "BraTS20_Training_001"),
        ("Brats18_TCIA05_396_1", "Brats18_TCIA05_396_1"),
    ],
)
def test_visits_tell_their_patient(name: str, patient: str) -> None:
    assert patient_of(name) == patient


VISITS = "MR1 MR_d0129 m06 m06b bl baseline V1 v-02 visit1 ses-2 TP2 tp-03 scan1 FU003d followup followup2 week-000-1 day12 pre post postop"
DATES = "20200131 2020-01-31 2020_01_31"
PEOPLE = "BraTS2021_00001 IXI002-Guys-0828-T1 TCGA-02-0006 case12 site1_s004 002_S_0295 ms-long-01 subject-0003 Patient-001 P1_T1 v12"


@pytest.mark.parametrize("visit", [*VISITS.split(), *DATES.split()])
@pytest.mark.parametrize("patient", ["OAS2_0001", "002_S_0295", "P7", "sub-01"])
def test_common_names_of_visits_are_known(patient: str, visit: str) -> None:
    assert patient_of(f"{patient}_{visit}") == patient


@pytest.mark.parametrize("name", ["P7V2", "P7tp3", "P7MR1"])
def test_visit_may_follow_a_number_directly(name: str) -> None:
    assert patient_of(name) == "P7"


@pytest.mark.parametrize("name", PEOPLE.split())
def test_names_of_people_are_no_visits(name: str) -> None:
    assert patient_of(name) == name


def test_letter_marks_a_visit_beside_another_of_the_same_number() -> None:
    names = ["ms-01", "ms-01b", "ms-02a", "ms-02b", "ms-03b"]
    assert list(patients_of(names).values()) == ["ms-01", "ms-01", "ms-02", "ms-02", "ms-03b"]


def test_many_scans_of_one_beginning_are_people() -> None:
    names = [f"site{site}_scan{number:03}" for site in (1, 2) for number in range(40)]
    assert list(patients_of(names).values()) == names
    assert set(patients_of([f"study7_scan{number}" for number in range(5)])) == {f"study7_scan{n}" for n in range(5)}


def test_short_numbers_are_doubtful_where_they_repeat() -> None:
    doubtful = possible_visits(patients_of(["P01_1", "P01_2", "P02_1", "P02_2", "P03_1"]))
    assert doubtful == ["P01_1", "P01_2", "P02_1", "P02_2"]
    assert possible_visits(patients_of([f"site1_{number:02}" for number in range(9)])) == []
    assert possible_visits(patients_of(["s_1", "s_2"])) == []


def test_a_patient_in_two_splits_is_refused() -> None:
    patients = {"sub-1_ses-a": "1", "sub-1_ses-b": "1", "sub-2": "2"}
    check_visits_together({"sub-1_ses-a": "train", "sub-1_ses-b": "train", "sub-2": "test"}, "list.csv", patients)
    with pytest.raises(CohortError, match="'sub-1_ses-a' is in train and 'sub-1_ses-b' in test"):
        check_visits_together({"sub-1_ses-a": "train", "sub-1_ses-b": "test"}, "list.csv", patients)


@given(st.lists(st.sampled_from("abc"), min_size=12, max_size=40), st.integers(2, 5), st.integers(0, 1000))
def test_folds_are_even_and_spread_each_stratum(kinds: list[str], count: int, seed: int) -> None:
    strata = {f"s{number}": kind for number, kind in enumerate(kinds)}
    folds = draw_folds(list(strata), seed, count, strata)
    assert folds == draw_folds(list(reversed(strata)), seed, count, strata)
    sizes = [list(folds.values()).count(str(fold)) for fold in range(count)]
    assert max(sizes) - min(sizes) <= 1
    for kind in set(kinds):
        parts = [sum(folds[name] == str(fold) for name in strata if strata[name] == kind) for fold in range(count)]
        assert max(parts) - min(parts) <= 1


@pytest.mark.parametrize("count", [1, 21])
def test_folds_that_cannot_be_are_refused(count: int) -> None:
    with pytest.raises(CohortError, match="unusable folds"):
        draw_folds(NAMES, 0, count)


def test_one_fold_is_held_out_and_the_others_train() -> None:
    splits = {"a": "0", "b": "1", "c": "2", "v": "validation", "t": "train", "w": "test"}
    subjects = tuple(Subject(name, split, {"t1": f"{name}.nii"}) for name, split in splits.items())
    cohort = Cohort(Path("folder"), "folds", (Modality("t1", "mr"),), subjects)
    held_out = cohort.held_out(1)
    expected = {"a": "train", "b": "test", "c": "train", "v": "validation", "t": "train"}  # w waits for the final test
    assert {each.name: each.split for each in held_out.subjects} == expected
    assert [each.split for each in cohort.subjects] == list(splits.values())
    with pytest.raises(CohortError, match="its folds are: 0, 1, 2"):
        cohort.held_out(3)
    everybody = {each.name: each.split for each in cohort.with_all_folds().subjects}
    assert everybody == {"a": "train", "b": "train", "c": "train", "v": "validation", "t": "train", "w": "test"}
    with pytest.raises(CohortError, match="no folds"):
        replace(cohort, subjects=subjects[3:]).with_all_folds()
