"""`python -m nfd_gym COMMAND ...`: the command line without the installed script."""

import sys

from nfd_gym.cli import main

if __name__ == "__main__":
    sys.exit(main())
