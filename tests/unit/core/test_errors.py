from __future__ import annotations

import pickle

import pytest

from graft.core import errors
from graft.core.errors import DataError, GraftError, did_you_mean

EXIT_CODES = {
    "GraftError": 1,
    "UsageError": 2,
    "DataError": 3,
    "ModelError": 4,
    "ResourceError": 5,
    "Interrupted": 130,
}


def test_every_error_has_its_exit_code_and_stands_in_the_drawing() -> None:
    assert {name for name in errors.__all__ if name[0].isupper()} == set(EXIT_CODES)
    for name, code in EXIT_CODES.items():
        kind = getattr(errors, name)
        assert issubclass(kind, GraftError)
        assert kind.exit_code == code
        assert any(name in line and f"exit {code}" in line for line in (errors.__doc__ or "").splitlines())


def test_the_text_says_what_was_got_what_was_expected_and_what_to_do() -> None:
    error = DataError("a.jpg is empty", expected="a picture", fix="remove it")
    assert str(error) == "a.jpg is empty\nExpected: a picture\nTo fix: remove it"
    assert str(DataError("a.jpg is empty")) == "a.jpg is empty"
    assert (error.got, error.expected, error.fix) == ("a.jpg is empty", "a picture", "remove it")


def test_an_error_comes_back_from_its_text() -> None:
    error = DataError("a.jpg is empty", expected="a picture", fix="remove it")
    again = DataError.from_text(str(error))
    assert isinstance(again, DataError)
    assert (str(again), again.fix) == (str(error), error.fix)
    assert str(DataError.from_text("a.jpg is empty")) == "a.jpg is empty"


def test_errors_cross_process_borders() -> None:
    """Data workers pickle what they raise; keyword arguments are where exceptions usually break."""
    error = DataError("a.jpg is empty", expected="a picture", fix="remove it")
    try:
        again = pickle.loads(pickle.dumps(error))  # noqa: S301
    except TypeError as failure:
        pytest.fail(f"cannot be read back: {failure}")
    assert str(again) == str(error)


def test_did_you_mean_is_silent_when_nothing_is_near() -> None:
    assert did_you_mean("lable", ["label", "path"]) == " Did you mean 'label'?"
    assert did_you_mean("zzz", ["label", "path"]) == ""
    assert did_you_mean("x", []) == ""
