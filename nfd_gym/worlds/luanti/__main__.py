"""`python -m nfd_gym.worlds.luanti` says whether this machine can run Luanti-v0."""

from nfd_gym.worlds.luanti.install import main

raise SystemExit(main())
