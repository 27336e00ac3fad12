"""``python -m ringback``: the same as the command ``ringback``."""

import sys

from ringback.cli import main

if __name__ == "__main__":
    sys.exit(main())
