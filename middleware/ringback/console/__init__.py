"""What does a person see in a browser? What fails, since when and who must act; and dead letters to act on.

The page is an ASGI app. It exists only where an app mounts it, and only ``auth`` lets a user in.
"""

from ringback.console.access import BasicAuth
from ringback.console.app import Console

__all__ = ["BasicAuth", "Console"]
