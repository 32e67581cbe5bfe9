from serving.gateway.recent import Recent


def test_a_value_is_fresh_up_to_its_bound_and_the_last_known_after_it():
    now = 0.0
    recent = Recent(10, 5.0, lambda: now)
    recent.put("a", 1)
    now = 5.0
    assert recent.fresh("a") == 1
    now = 5.1
    assert recent.fresh("a") is None and recent.last("a") == 1
    assert recent.fresh("b") is None and recent.last("b") is None


def test_the_least_recently_used_goes_first():
    recent = Recent(2, 5.0, lambda: 0.0)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.fresh("a") == 1
    recent.put("c", 3)
    assert (recent.last("a"), recent.last("b"), recent.last("c"), len(recent)) == (1, None, 3, 2)
