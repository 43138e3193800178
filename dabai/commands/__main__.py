"""``python -m dabai.commands COMMAND``: what ``dabai serve`` starts its children with."""

import sys

from dabai.commands import main

if __name__ == "__main__":
    sys.exit(main())
