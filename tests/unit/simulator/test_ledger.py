"""The ledger holds what a frame has shown, and nothing else."""

from __future__ import annotations

from simulator.ledger import Ledger, Truth, Witness
from simulator.model import Conversation
from simulator.parts import Leg, Participant

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


def kinds(records: list[Truth]) -> list[str]:
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
    """First `client`, in a later snapshot `transfer`: the transfer is told then."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    conversation.end_leg(agent, leg, "client", 4000)
    send(witness, ledger)
    leg.disconnect_type = "transfer"
    assert send(witness, ledger) == ["transfer"]


def test_a_merge_is_no_transfer() -> None:
    """`transfer.conference` means that the leg goes on in another conversation."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    conversation.end_leg(agent, leg, "transfer.conference", 4000)
    assert send(witness, ledger) == ["answer", "disconnect"]


def test_only_who_consulted_transfers_by_a_consult() -> None:
    """The same word ends the leg of somebody who was consulted in vain: he transferred nobody."""
    for initiator in (True, False):
        conversation, agent, leg, witness, ledger = begun()
        agent.consult_initiator = initiator
        conversation.answer(agent, leg, 1500)
        conversation.end_leg(agent, leg, "transfer.consult", 4000)
        assert ("transfer" in send(witness, ledger)) is initiator


def test_a_hold_that_ends_with_its_leg_has_no_resume() -> None:
    """Nor does a resume that no frame showed before the leg ended."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    conversation.hold(agent, leg, 2000)
    send(witness, ledger)
    conversation.resume(agent, leg, 2500)
    conversation.end_leg(agent, leg, "client", 2501)
    assert "resume" not in send(witness, ledger)


def test_an_unpark_is_named_by_its_park_whatever_its_keys_do() -> None:
    """It is told when the leg is seen live again; the planned time says nothing."""
    for keys in ("gone", "kept", "park_kept", "resume_kept"):
        conversation, agent, leg, witness, ledger = begun()
        conversation.answer(agent, leg, 1500)
        conversation.park(agent, leg, 2000, until_ms=900_000)
        assert send(witness, ledger) == ["start", "answer", "park"]
        conversation.unpark(agent, leg, 3000, keys)
        assert (leg.park_ms is not None) == (keys in ("kept", "park_kept"))
        assert (leg.resume_ms is not None) == (keys in ("kept", "resume_kept"))
        assert send(witness, ledger) == ["unpark"]
        park, unpark = ledger.read()[-2:]
        assert park.park_time == unpark.park_time == "1970-01-01T00:00:02.000Z"
        conversation.park(agent, leg, 4000)
        assert send(witness, ledger) == ["park"]


def test_who_parks_and_never_comes_back_has_no_unpark() -> None:
    """The leg ends while it is parked."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    conversation.park(agent, leg, 2000)
    send(witness, ledger)
    conversation.end_leg(agent, leg, "client", 3000)
    assert send(witness, ledger) == ["disconnect", "end"]


def test_an_unpark_is_only_told_to_those_who_were_told_of_the_park() -> None:
    """If the frame of the park reached nobody, nor does the unpark."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    send(witness, ledger)
    conversation.park(agent, leg, 2000)
    assert kinds(witness.look(ledger)) == ["park"]
    conversation.unpark(agent, leg, 3000)
    assert send(witness, ledger) == []


def test_each_code_is_one_wrapup_and_a_code_again_is_none() -> None:
    """A, then B, then A again: two transitions, told once the leg has ended."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    conversation.choose(agent, leg, "A", "a", 1600, saved=False)
    assert "wrapup" not in send(witness, ledger)
    conversation.end_leg(agent, leg, "client", 2000)
    conversation.begin_acw(agent, leg, 2000)
    assert send(witness, ledger) == ["disconnect", "acw", "wrapup", "end"]
    conversation.choose(agent, leg, "A", "a", 2500, saved=True)
    assert send(witness, ledger) == []
    told = [record for record in ledger.read() if record.event_type == "wrapup"]
    assert [(r.wrapup_code, r.occurred_at[17:23]) for r in told] == [("A", "02.500")]
    conversation.choose(agent, leg, "B", "b", 3000, saved=True)
    conversation.end_acw(agent, leg, 3000)
    assert send(witness, ledger) == ["wrapup", "acw_end"]
    replaced = {r.wrapup_code: r.replaced for r in ledger.read() if r.wrapup_code}
    assert replaced == {"A": True, "B": False}
    conversation.choose(agent, leg, "A", "a", 4000, saved=True)
    assert send(witness, ledger) == []
    replaced = {r.wrapup_code: r.replaced for r in ledger.read() if r.wrapup_code}
    assert replaced == {"A": False, "B": True}


def test_a_code_that_was_replaced_before_the_end_was_none() -> None:
    """Chosen while talking, and another one by the time that a frame shows the leg ended."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.answer(agent, leg, 1500)
    conversation.choose(agent, leg, "A", "a", 1600, saved=False)
    send(witness, ledger)
    conversation.end_leg(agent, leg, "client", 2000)
    conversation.choose(agent, leg, "B", "b", 2000, saved=True)
    send(witness, ledger)
    codes = [r.wrapup_code for r in ledger.read() if r.event_type == "wrapup"]
    assert codes == ["B"]


def test_records_say_the_role_the_queue_and_the_link() -> None:
    """The role as first shown, the queue while the leg lived, the conversation that is served."""
    conversation, agent, leg, witness, ledger = begun()
    conversation.associated_id = "served"
    agent.monitored_id = "watched"
    send(witness, ledger)
    agent.monitored_id, agent.barged_id = None, "watched"
    conversation.answer(agent, leg, 1500)
    conversation.end_leg(agent, leg, "transfer", 2000)
    conversation.route(agent, "other queue")
    send(witness, ledger)
    alert, answer = ledger.read()[1:3]
    assert (alert.role, answer.role) == ("monitor", "barge")
    assert {r.role_participant_id for r in (alert, answer)} == {"watched"}
    assert {r.queue_id for r in ledger.read() if r.participant_id} == {QUEUE}
    assert {r.linked_conversation_id for r in ledger.read()} == {"served"}


def test_a_leg_that_gave_its_place_to_another_shows_nothing_more() -> None:
    """With `replace` the array has the newest leg alone."""
    conversation, agent, leg, witness, ledger = begun()
    agent.order = "replace"
    conversation.answer(agent, leg, 1500)
    send(witness, ledger)
    conversation.end_leg(agent, leg, "transfer", 2000)
    other = Leg(
        id="m",
        media="call",
        state="connected",
        initial_state="connected",
        direction="inbound",
        provider="Edge",
        started_ms=2000,
    )
    conversation.open_leg(agent, other, 2001)
    assert send(witness, ledger) == ["answer"]


def test_a_voicemail_box_is_no_agent() -> None:
    """Its `userId` says whose box it is."""
    _, agent, _, witness, ledger = begun()
    agent.purpose = "voicemail"
    send(witness, ledger)
    assert {record.agent_id for record in ledger.read()} == {None}


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
