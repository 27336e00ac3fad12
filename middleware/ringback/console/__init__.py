"""The operations page: what fails, since when, who must act; and the dead letters, to be acted on.

An ASGI app to mount into any other, off unless mounted, closed unless its ``auth`` lets someone in.
"""

from ringback.console.access import BasicAuth
from ringback.console.app import Console

__all__ = ["BasicAuth", "Console"]
