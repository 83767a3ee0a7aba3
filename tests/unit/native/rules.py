"""Where each rule of the normaliser stands in Python and in Rust: the table of docs/native.md.

    python -m tests.unit.native.rules     writes the table anew, with the present digests

A digest is of the Python source of a rule, without comments and docstrings. The tests hold it
against the page: who changes a rule in Python alone is told so. Change the Rust beside it, run the
tests of tests/unit/native, then write the table.
"""

from __future__ import annotations

import ast
import hashlib
import io
import re
import tokenize
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "native.md"
BEGIN: Final = "<!-- rules: begin -->"
END: Final = "<!-- rules: end -->"
CONVERSATION: Final = "mirror/conversation"
NORMALISER: Final = f"{CONVERSATION}/normaliser"
DIGITS: Final = 8


class Rule(NamedTuple):
    """A rule: its name, Python file and names in it, Rust file and names in it."""

    name: str
    python: str
    names: tuple[str, ...]
    rust: str
    functions: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Of the Python source."""
        text = "\n".join(source(ROOT / self.python, name) for name in self.names)
        return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]

    @property
    def row(self) -> str:
        """The line of the table."""
        names = ", ".join(f"`{name}`" for name in self.names)
        functions = ", ".join(f"`{name}`" for name in self.functions)
        python = self.python.removeprefix(f"{CONVERSATION}/")
        return f"| {self.name} | {python}: {names} | {self.rust}: {functions} | `{self.digest}` |"


def _rule(name: str, python: str, names: str, rust: str, functions: str) -> Rule:
    room = CONVERSATION if python in {"event.py", "legs.py", "times.py"} else NORMALISER
    return Rule(name, f"{room}/{python}", tuple(names.split()), rust, tuple(functions.split()))


RULES: Final = (
    _rule("what is read", "bodies.py", "Wrapup AfterCallWork Communication Participant CutBody "
          "CutFrame Metadata", "frame.rs", "frame read_body metadata participant communication "
          "wrapup after_call_work"),
    _rule("what is too long", "normaliser.py", "MAX_ID_LENGTH MAX_TOPIC_LENGTH "
          "MAX_CORRELATION_LENGTH LARGE_FRAME_BYTES MAX_VALUES _check _source", "frame.rs", "word"),
    _rule("words of absurd length", "lengths.py", "MAX_WORD LONG_TEXT LEG_BYTES is_suspect "
          "cut _plan", "frame.rs", "word"),
    _rule("topics", "topics.py", "_CONVERSATIONS classify", "frame.rs", "is_conversation"),
    _rule("unchanged participants", "snapshot.py", "recognise", "frame.rs", "participants piece"),
    _rule("unknown media", "snapshot.py", "_KNOWN_ARRAYS _are_known _is_known _strange",
          "frame.rs", "other"),
    _rule("order of media", "snapshot.py", "communications", "words.rs", "medium_of_array"),
    _rule("reading of a frame", "normaliser.py", "Normaliser.frame Normaliser._repeat "
          "Normaliser._read Normaliser._recall", "reader.rs", "frame"),
    _rule("times", "times.py", "_USUAL instant", "times.rs", "usual instant"),
    _rule("media", "words.py", "MEDIA_OF_ARRAY", "words.rs", "medium_of_array"),
    _rule("states", "words.py", "ENDED DIALING ALERTING CONNECTED PARKED UNANSWERED VOICEMAIL",
          "words.rs", "is_ended is_dialing is_unanswered"),
    _rule("staff", "event.py", "STAFF", "words.rs", "is_staff"),
    _rule("disconnect types", "words.py", "MERGED CONSULTED _DISCONNECT_TYPES "
          "_PLAIN_DISCONNECT_TYPES disconnect_type", "words.rs", "disconnect_type is_plain"),
    _rule("memory", "memory.py", "Spell Service Leg Known Conversation", "memory.rs",
          "new leg is_new"),
    _rule("forgetting", "memory.py", "Memory._forget_one Memory.recall", "memory.rs",
          "insert touch tidy"),
    _rule("legs of a snapshot", "views.py", "read _read_legs", "rules.rs", "read_legs seen"),
    _rule("transitions that come once, and often", "transition.py",
          "BITS MAX_OFTEN tell tell_often _is_new View.times", "transition.rs",
          "bit tell tell_often"),
    _rule("what a reading does", "rules.py", "transitions _tell_legs _tell_transfer _settle",
          "rules.rs", "transitions tell_legs tell_transfer settle"),
    _rule("doubt", "rules.py", "_confirm _reading", "rules.rs", "confirm reading"),
    _rule("late frames", "rules.py", "_is_late _history", "rules.rs", "is_late history"),
    _rule("what a leg gained", "rules.py", "_advance _serve", "rules.rs", "advance serve"),
    _rule("transfers", "rules.py", "_is_transferred _is_consulted _hands_over", "rules.rs",
          "is_transferred is_consultation_over"),
    _rule("start and end", "rules.py", "MAX_ENDS _start _end", "rules.rs", "start end"),
    _rule("roles", "roles.py", "_SCREEN Assigned role_of supervisor", "rules.rs", "role_of"),
    _rule("consultations (left to Python)", "roles.py", "consultation", "frame.rs",
          "nothing disconnect_type"),
    _rule("holds and parks", "spells.py", "are_earlier history advance ended rings_again "
          "release _begin _dated _over _numbered _is_later_park", "spells.rs",
          "are_earlier history advance ended rings_again release begin dated over numbered"),
    _rule("after-call work", "after_call.py", "_latest Succession handled _takes_place "
          "_code_of _has_own_times _claim_of_times _claim_of_code _connected work_of "
          "_unless_earlier note tell_work", "after_call.rs", "latest of follows handled "
          "takes_place code_of has_own_times work_of unless_earlier note tell_work"),
    _rule("wrap-up codes", "after_call.py", "MAX_CODES _codes _take", "after_call.rs",
          "codes take"),
    _rule("events", "events.py", "events _of_conversation _of_leg", "events.rs",
          "events of_conversation of_leg"),
    _rule("fields of an event", "event.py", "Event", "events.rs", "tail"),
    _rule("ids", "legs.py", "LegKey leg_key transition_id reading_id end_id start_id", "ids.rs",
          "of of_end"),
    _rule("hash of an id", "event.py", "identity", "ids.rs", "hash"),
)  # fmt: skip


def source(path: Path, name: str) -> str:
    """The source of a function, class or constant of a module, without comments and docstrings."""
    text = path.read_text()
    node = find(ast.parse(text), name.split("."))
    lines = text.splitlines(keepends=True)
    gone = [_docstring(inner) for inner in ast.walk(node)]
    docstrings = {number for lines_of in gone for number in lines_of}
    comments = {
        token.start[0]: token.start[1]
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    assert node.end_lineno is not None
    kept = [
        lines[number - 1][: comments.get(number)]
        for number in range(node.lineno, node.end_lineno + 1)
        if number not in docstrings
    ]
    return "".join("".join(kept).split())


def find(tree: ast.AST, names: list[str]) -> ast.stmt:
    """The statement that gives a name its meaning. Raises `LookupError` where there is none."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if node.name == names[0]:
                return find(node, names[1:]) if names[1:] else node
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            if any(isinstance(target, ast.Name) and target.id == names[0] for target in targets):
                return node
    raise LookupError(".".join(names))


def _docstring(node: ast.AST) -> range:
    """The lines of a node's docstring."""
    body = getattr(node, "body", None)
    if not isinstance(body, list) or not body or not isinstance(body[0], ast.Expr):
        return range(0)
    first = body[0]
    if not isinstance(first.value, ast.Constant) or not isinstance(first.value.value, str):
        return range(0)
    assert first.end_lineno is not None
    return range(first.lineno, first.end_lineno + 1)


def table() -> str:
    """The table as it is now."""
    head = "| rule | Python, in `mirror/conversation/` | Rust, in `native/src/` | digest |"
    return "\n".join((head, "|---|---|---|---|", *(rule.row for rule in RULES)))


def recorded() -> str:
    """The table that the page has."""
    found = re.search(f"{BEGIN}\n(.*)\n{END}", PAGE.read_text(), re.DOTALL)
    assert found is not None, f"{PAGE} lacks {BEGIN} or {END}"
    return found[1]


def main() -> None:
    """Write the table into the page."""
    PAGE.write_text(PAGE.read_text().replace(recorded(), table()))


if __name__ == "__main__":
    main()
