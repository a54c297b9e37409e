"""Some of the cases of `fuzz_files`: a flipped bit is noticed or harmless, and only sentences come out."""

import pytest
from fuzz_files import KINDS, Runs, case

CASES = 80


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("fuzz"))


def test_cases_over_files_of_every_kind(runs):
    found = {case(5, number, runs) for number in range(CASES)}
    assert {kind for kind, _ in found} == set(KINDS)
    assert {("flips", "refused"), ("flips", "harmless"), ("damage", "refused"), ("tables", "read")} <= found


def test_what_is_read_of_whole_runs_is_all_there(runs):
    assert all(text for seen in runs.whole.values() for text in seen.values())
    assert runs.end is not None
