"""How sentences name parameters."""

import pickle

import pytest

from Agg2ExpLib.errors import InputError, OutOfMemoryError, on_command_line, parameters_in, worded
from Agg2ExpLib.monitor import Monitor


def test_each_front_end_puts_its_own_words():
    error = InputError("Too few: set ⟨samples⟩ to 20, or name ⟨extra_rois⟩.")
    assert str(error) == "Too few: set samples to 20, or name extra_rois."
    assert worded(error.template, on_command_line) == "Too few: set --samples to 20, or name --extra-rois."
    assert worded(error.template, lambda name: f"“{name.title()}”") == "Too few: set “Samples” to 20, or name “Extra_Rois”."
    assert error.parameters == parameters_in(error.template) == ("samples", "extra_rois")


@pytest.mark.parametrize("error", [InputError("set ⟨samples⟩"), OutOfMemoryError("too small: lower ⟨overlap⟩", "use ⟨device⟩ cpu")])
def test_errors_travel_between_processes(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.template, str(copy), vars(copy)) == (error.template, str(error), vars(error))
    assert "⟨" not in str(copy)


def test_notices_are_kept_with_plain_names():
    monitor = Monitor()
    monitor.notice("raise ⟨steps⟩")
    assert monitor.notices == ["raise steps"]
