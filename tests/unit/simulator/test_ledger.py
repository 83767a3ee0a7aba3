"""The ledger holds what a frame has shown, and nothing else."""

from __future__ import annotations

from simulator.ledger import Ledger, Record, Witness
from simulator.model import Conversation, Leg, Participant

QUEUE, USER = "queue", "user"


def begun() -> tuple[Conversation, Participant, Leg, Witness, Ledger]:
    """A conversation whose agent rings."""
    conversation = Conversation(
        id="c", media="call", direction="inbound", started_ms=1000, division_id="d"
    )
    leg = Leg(
        id="l",
        media="call",
        state="alerting",
        initial_state="alerting",
        direction="inbound",
        provider="Edge",
        started_ms=1000,
    )
    agent = Participant(id="p", purpose="agent", started_ms=1000, user_id=USER, queue_id=QUEUE)
    conversation.add(agent)
    conversation.open_leg(agent, leg, 1000)
    return conversation, agent, leg, Witness(conversation), Ledger()


def kinds(records: list[Record]) -> list[str]:
    """The event types."""
    return [record.event_type for record in records]


def send(witness: Witness, ledger: Ledger) -> list[str]:
    """A frame that leaves."""
    shown = witness.look(ledger)
    for record in shown:
        record.first_sent_ms = 1
    return kinds(shown)


def test_an_alert_that_no_frame_showed_is_no_transition() -> None:
    """It rang and was answered between two snapshots: nobody can know of the ringing."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    assert send(witness, ledger) == ["start", "answer"]
    assert kinds(ledger.read()) == ["start", "answer"]


def test_what_frames_keep_showing_is_sent_with_the_first_that_leaves() -> None:
    """The answer is in every later snapshot; the alert was only in the one that nobody got."""
    conversation, agent, leg, witness, ledger = begun()
    witness.look(ledger)
    conversation.answer(agent, leg, 1500)
    assert send(witness, ledger) == ["start", "answer"]
    alert = next(record for record in ledger.read() if record.event_type == "alert")
    assert alert.first_sent_ms is None


def test_a_resume_is_only_told_to_those_who_were_told_of_the_hold() -> None:
    """If the frame of the hold reached nobody, nor does the resume."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    send(witness, ledger)
    conversation.hold(agent, leg, 2000)
    assert kinds(witness.look(ledger)) == ["hold"]
    conversation.resume(agent, leg, 2500)
    assert send(witness, ledger) == []
    conversation.hold(agent, leg, 3000)
    assert send(witness, ledger) == ["hold"]
    conversation.resume(agent, leg, 3500)
    assert send(witness, ledger) == ["resume"]
    last = ledger.read()[-1]
    assert last.hold_started_at == "1970-01-01T00:00:03.000Z"


def test_a_hold_between_two_frames_never_was() -> None:
    """Neither hold nor resume is in the ledger."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    send(witness, ledger)
    conversation.hold(agent, leg, 2000)
    conversation.resume(agent, leg, 2100)
    assert send(witness, ledger) == []
    assert "hold" not in kinds(ledger.read())


def test_the_end_is_in_the_frame_in_which_every_leg_is_over() -> None:
    """Disconnect, transfer and end come with it; a type that changes later adds nothing."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    send(witness, ledger)
    conversation.end_leg(agent, leg, "transfer", 4000)
    assert send(witness, ledger) == ["disconnect", "transfer", "end"]
    leg.disconnect_type = "peer"
    assert send(witness, ledger) == []
    assert {record.disconnect_type for record in ledger.read()[-3:-1]} == {"transfer"}


def test_a_type_that_becomes_a_transfer_is_one_then() -> None:
    """First `client`, in a later snapshot `transfer.consult`: the transfer is told then."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    conversation.end_leg(agent, leg, "client", 4000)
    send(witness, ledger)
    leg.disconnect_type = "transfer.consult"
    assert send(witness, ledger) == ["transfer"]


def test_reading_by_seq_and_by_interval() -> None:
    """`since_seq` and `from` exclude what came before, `until` what comes at or after."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    send(witness, ledger)
    conversation.end_leg(agent, leg, "client", 4000)
    send(witness, ledger)
    assert kinds(ledger.read(since_seq=2)) == ["disconnect", "end"]
    begin, until = "1970-01-01T00:00:01.500Z", "1970-01-01T00:00:04.000Z"
    assert kinds(ledger.read(from_time=begin, until_time=until)) == ["answer"]
    assert ledger.read(conversation_id="other") == []


def test_a_full_ledger_drops_the_oldest_and_counts_them() -> None:
    """Bounded, and honest about it; sequence numbers go on."""
    conversation, agent, leg, witness, _ = begun()
    ledger = Ledger(capacity=2)
    conversation.answer(agent, leg, 1500)
    send(witness, ledger)
    conversation.end_leg(agent, leg, "client", 4000)
    send(witness, ledger)
    assert ledger.dropped == 2
    assert [record.seq for record in ledger.read()] == [3, 4]
    assert [record.seq for record in ledger.read(since_seq=3)] == [4]
