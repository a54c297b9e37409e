"""Values by object: an object that is gone lends its number to no other."""

from dagrow.planner.identity_cache import IdentityCache


def test_objects_that_are_gone_are_not_mistaken_for_new_ones():
    kept = IdentityCache()
    for value in range(100):
        assert kept.get([0], "part") is None
        # The list goes out of use right here: without being held, its number would be that of the next.
        kept.put(value, [0], "part")


def test_equal_objects_are_two():
    kept, first, second = IdentityCache(), [1], [1]
    kept.put("first", first, 0)
    kept.put("second", second, 0)
    kept.put("other", first, 1)
    assert (kept.get(first, 0), kept.get(second, 0), kept.get(first, 1)) == ("first", "second", "other")
    kept.put("again", first, 0)
    assert sorted(kept.drop([first])) == ["again", "other"]
    assert kept.get(first, 0) is None
    assert kept.get(second, 0) == "second"
