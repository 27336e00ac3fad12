"""What does a log say, whatever tool keeps the log: JSON lines, lines of text, exports of Azure Monitor? Pure.

One reader serves every command. The reader turns bytes into flat lines, and says why it cannot read the others.
"""

from ringback.cli.reading._frames import MOST, Found, TooLong, found_in
from ringback.cli.reading._line import (
    FAULTS,
    LATEST,
    OUTCOME,
    REMEMBERED,
    Counted,
    Line,
    Reason,
    Reasons,
    Seen,
    Unread,
    Why,
    second_of,
)

__all__ = [
    "FAULTS",
    "LATEST",
    "MOST",
    "OUTCOME",
    "REMEMBERED",
    "Counted",
    "Found",
    "Line",
    "Reason",
    "Reasons",
    "Seen",
    "TooLong",
    "Unread",
    "Why",
    "found_in",
    "second_of",
]
