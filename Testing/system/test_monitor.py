"""Progress of a part on the scale of the whole, what remains, and the request to stop."""

import pytest

from Agg2ExpLib.errors import Cancelled
from Agg2ExpLib.monitor import Monitor, Stage


class Listener(Monitor):
    def __init__(self):
        super().__init__()
        self.told = []

    def progress(self, stage, fraction, message="", eta_s=None):
        self.told.append((stage, fraction, message, eta_s))


def test_a_stage_hears_a_stop_before_it_tells_anything():
    listener = Listener()
    stage = Stage(listener, "explain", 0.1, 0.9)
    stage.update(0.5, "window 1 of 2")
    listener.stop()
    assert listener.stopped
    with pytest.raises(Cancelled):
        stage.update(0.75)
    assert [fraction for _, fraction, _, _ in listener.told] == [0.5]


def test_a_stage_is_told_on_the_scale_of_the_whole(monkeypatch):
    clock = iter([100.0, 100.0, 103.0, 106.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    listener = Listener()
    stage = Stage(listener, "segment", 0.2, 0.6, next(clock))
    for fraction in (0.0, 0.25, 1.5):
        stage.update(fraction, "words")
    assert [told[0] for told in listener.told] == ["segment"] * 3
    assert [told[1] for told in listener.told] == pytest.approx([0.2, 0.3, 0.6])
    assert [told[2] for told in listener.told] == ["words"] * 3
    assert listener.told[0][3] is None
    assert listener.told[1][3] == pytest.approx(9.0)
