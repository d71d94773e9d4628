# Two commands for a newcomer: `make test` and `make play`. Both install what they need into .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
EXTRAS := play,rl,cpu,data,luanti,robotics,crafter,eval,test
GAME := minetest minetest-data xvfb libgl1-mesa-dri gcc libc6-dev libgl-dev
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: test slow play world lint bench clean

test: $(STAMP)
	$(RUN) -m pytest -q -n auto

# What takes longer: the wheel, every README command, examples in the shipped worlds, convergence.
slow: $(STAMP)
	$(RUN) -m pytest -q -n auto -m slow

play: $(STAMP)
	$(RUN) -m nfd_gym play

# The real game behind Luanti-v0, with software rendering and a virtual display.
world: $(STAMP)
	$(SUDO) apt-get update
	$(SUDO) apt-get install -y --no-install-recommends $(GAME)
	$(RUN) -m nfd_gym.games.luanti

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: $(STAMP)
	$(RUN) -m nfd_gym bench env

# The stamp is written last: an interrupted installation is repeated, a finished one is not.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q -c constraints.txt -e '.[$(EXTRAS)]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
