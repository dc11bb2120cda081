from __future__ import annotations

from graft.core.seeds import derive_seed, generator


def test_a_seed_depends_on_its_purpose_and_on_nothing_else() -> None:
    assert derive_seed(0, "folds") == derive_seed(0, "folds") == 3837711836569237728
    seeds = {derive_seed(s, *p) for s in (0, 1) for p in (("folds",), ("view", 1), ("view", 11), ("view", 1, "1"), ())}
    assert len(seeds) == 10
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_of_one_purpose_are_alike() -> None:
    a, b, c = generator(3, "x"), generator(3, "x"), generator(3, "y")
    first = a.random(4).tolist()
    assert first == b.random(4).tolist() != c.random(4).tolist()
