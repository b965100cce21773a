# make demo         install, then the main job: a trained policy, a latency, a shove; video and table
# make test         install, then linter, formatter, types, tests, doctests, notebooks, wheel, API pages
# make quick        linter, formatter, types and the fastest tests, in less than a minute
# make mutants      known faults, one at a time: do the tests notice
# make wheel-test   builds sdist and wheel and runs the wheel from another folder
# make doors        every door to another project, with that project's own package behind it
# make openpi-check   stock openpi-client and a server of stock parts, in an environment of their own
# make lerobot-check  stock lerobot, in its own environment: sets both ways, its viewer, its rollout
# make api          API pages from the docstrings, in build/api
# make libero-check  the LIBERO benchmark, in its own environment, under latency
# make vla-eval-check  vla-eval's harness, in its own environment, with our policies and tasks
# make install      a virtual environment in .venv with the tested package set
#
# Missing system packages are installed when root, else named.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin
NOTEBOOKS = $(BIN)/python -m pytest --nbmake --nbmake-timeout=900
STAMP := $(VENV)/.installed
DOORS ?= $(or $(XR0_SIM_OPENPI_VENV),.venv-doors)
# openpi-client 0.1.2 wants numpy 1 and forgets to name typing_extensions.
DOOR_PACKAGES := openpi-client==0.1.2 typing_extensions websockets==17.4 msgpack==1.2.4

# Modules whose docstrings carry examples.
DOCTESTS := xr0_sim/conventions.py xr0_sim/grammar.py xr0_sim/registry.py xr0_sim/runtime/clock.py \
	xr0_sim/runtime/timeline.py xr0_sim/runtime/latency/presets.py envs/control_rate.py \
	envs/senses/pictures.py xr0_sim/data/lerobot/layout.py
FAST_TESTS := tests/test_docs.py tests/xr0_sim/test_rotations.py tests/xr0_sim/runtime/test_clock.py \
	tests/xr0_sim/runtime/test_timeline.py tests/xr0_sim/runtime/test_latency.py \
	tests/xr0_sim/runtime/test_strategies.py \
	tests/xr0_sim/perturb/test_triggers.py tests/xr0_sim/metrics

.PHONY: install system demo test quick lint types doctest notebooks mutants wheel-test api doors openpi-check lerobot-check libero-check vla-eval-check clean

demo: install
	$(BIN)/xr0-sim doctor
	$(BIN)/xr0-sim rollout --strategy prefix_async --head prefix

test: lint types doctest
	$(BIN)/python -m pytest -m "not slow and not gpu" -n $(JOBS) --dist worksteal
	@XR0_SIM_NOTEBOOK_SEEDS=1 XR0_SIM_NOTEBOOK_ENV=towel_folding $(NOTEBOOKS) \
		notebooks/01_first_rollout.ipynb & towel=$$!; \
	XR0_SIM_NOTEBOOK_SEEDS=2 $(NOTEBOOKS) notebooks; blocks=$$?; \
	wait $$towel && exit $$blocks
	$(BIN)/python .ci/wheel_test.py
	$(BIN)/python .ci/api_pages.py build/api

quick: lint types
	$(BIN)/python -m pytest -q -n $(JOBS) --doctest-modules $(DOCTESTS) $(FAST_TESTS)

# Plants known faults, one at a time, and asks the tests to notice them; ten minutes at most.
mutants: install
	$(BIN)/python tests/run_mutants.py --jobs $(JOBS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

doctest: install
	$(BIN)/python -m pytest -q --doctest-modules $(DOCTESTS)

notebooks: install
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=1800 notebooks

lerobot-check: install
	$(BIN)/python tests/doors/lerobot_check.py

api: install
	$(BIN)/python .ci/api_pages.py build/api

libero-check: install
	$(BIN)/python tests/doors/libero_check.py
	$(BIN)/python -m pytest -q tests/outside tests/policies/test_single_arm.py tests/envs/test_libero.py

vla-eval-check: install
	$(BIN)/python tests/doors/vla_eval_check.py

wheel-test: install
	$(BIN)/python .ci/wheel_test.py

doors: openpi-check lerobot-check libero-check vla-eval-check

openpi-check: install $(DOORS)/.installed
	XR0_SIM_OPENPI_PYTHON=$(abspath $(DOORS))/bin/python \
		$(BIN)/python -m pytest tests/policies/remote/test_stock_openpi.py

$(DOORS)/.installed: Makefile
	$(PYTHON) -m venv $(DOORS)
	$(DOORS)/bin/python -m pip install $(DOOR_PACKAGES)
	touch $@

install: system $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install -c constraints.txt -e ".[test]"
	touch $@

# Rendering in software needs Mesa; a machine with a graphics driver has a libEGL of its own.
system:
	@wanted=""; \
	if [ "$$(uname)" = Linux ]; then \
		ldconfig -p | grep -q 'libEGL\.so\.1' || wanted="libegl1 libgl1-mesa-dri"; \
		$(PYTHON) -c 'import ensurepip' 2>/dev/null || wanted="$$wanted $$(basename $(PYTHON))-venv"; \
	fi; \
	if [ -z "$$wanted" ]; then \
		exit 0; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$wanted; \
	else \
		echo "missing system packages: run  sudo apt-get install -y $$wanted  and try again" >&2; \
		exit 1; \
	fi

clean:
	rm -rf $(VENV) $(DOORS) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
