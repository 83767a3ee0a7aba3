"""The tracker's quick fold against the one that consumers use: the same log, the same active set.

Not compared: whether a leg is held. The tracker takes the log's last word, since to tell a late
repeat from a new one it would have to keep the times of holds, parks and readings of every leg.
"""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from coordinator.tracker.batch import read
from coordinator.tracker.fold import fold
from mirror.fleet.tracked import Tracked
from tests.unit.conversation.build import folded
from tests.unit.conversation.histories import deliveries, histories, received


@given(st.data())
def test_both_folds_find_the_same_active(data: st.DataObject) -> None:
    """Whatever two replicas tell, lose and repeat: which legs are open, and whether the
    conversation is active."""
    history = data.draw(histories())
    log = received(history, data.draw(deliveries(history, lossy=data.draw(st.booleans()))))
    if not log:
        return
    view = folded(log)
    conversations, _ = read(msgspec.json.encode(event) for event in log)
    tracked: Tracked | None = None
    for event in conversations[view.id]:
        tracked = fold(tracked, event)
    assert tracked is not None
    ours = {leg.name for leg in tracked.legs}
    assert ours == {name for name, leg in view.legs.items() if not leg.ended}
    assert tracked.ended == (view.state == "ended")
