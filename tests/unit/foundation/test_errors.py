"""Kinds of errors and the exit status of each."""

import errno

import pytest

from components.foundation.errors import (
    KINDS,
    ConflictError,
    EnvironmentFaultError,
    InputError,
    RelandError,
    first_line,
    write_failure,
)


def test_each_kind_has_an_exit_status_of_its_own():
    assert {kind: kind.exit_status for kind in KINDS} == {InputError: 2, EnvironmentFaultError: 3, ConflictError: 4}
    assert all(issubclass(kind, RelandError) for kind in KINDS)


def test_a_message_is_one_line():
    assert str(InputError("two\n  lines")) == "two lines"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, EnvironmentFaultError),
        (errno.EFBIG, EnvironmentFaultError),
        (errno.EROFS, EnvironmentFaultError),
        (errno.EACCES, InputError),
        (errno.ENOTDIR, InputError),
        (errno.EEXIST, InputError),
    ],
)
def test_a_write_fails_by_the_disk_or_by_the_path_that_was_given(number, kind):
    error = write_failure("--output out: no", OSError(number, "no"))
    assert type(error) is kind and str(error) == "--output out: no"


def test_the_first_line_of_what_a_library_says():
    assert first_line(ValueError("wrong\nadvice")) == "wrong" and first_line(ValueError()) == "ValueError"
