"""A criterion that could not decide anything cannot be declared."""

import pytest

from idealab.errors import DeclarationError
from idealab.judge.criteria import Equals


@pytest.mark.parametrize("bad", [{}, {"rtol": 0, "atol": 0}])
def test_a_tolerance_of_zero_is_refused(bad):
    with pytest.raises(DeclarationError, match="needs a tolerance above zero"):
        Equals(**bad)


@pytest.mark.parametrize("value", [-1e-3, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["rtol", "atol"])
def test_a_tolerance_that_is_no_size_is_refused(name, value):
    with pytest.raises(DeclarationError, match=f"finite and not negative, got {name}="):
        Equals(**{name: value})


def test_reads_as_words():
    assert str(Equals(rtol=0.01, atol=1e-6)) == "equals within 0.01 relative plus 1e-06 absolute"
