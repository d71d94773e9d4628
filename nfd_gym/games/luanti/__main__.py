"""`python -m nfd_gym.games.luanti` says whether this machine can run Luanti-v0."""

from nfd_gym.games.luanti.install import main

raise SystemExit(main())
