# Set-up is automatic: every target makes .venv from infra/constraints.txt, and reuses it until what it needs changes.
PYTHON ?= python3
ENVIRONMENT := .venv
RUN := $(ENVIRONMENT)/bin/python

.PHONY: demo gallery test test-long test-cluster audit ui servers bench quality wheel docs clean

demo: $(ENVIRONMENT)/ready  ## train, evaluate and register two models on real digits
	$(RUN) -m pipelines demo

gallery: $(ENVIRONMENT)/ready  ## train small models of every kind of task on digits: one page of pictures
	$(RUN) -m pipelines gallery

test: $(ENVIRONMENT)/ready  ## lint, format check, types, tests
	$(ENVIRONMENT)/bin/ruff check .
	$(ENVIRONMENT)/bin/ruff format --check .
	$(ENVIRONMENT)/bin/mypy
	$(ENVIRONMENT)/bin/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not (cluster or servers or long)"

test-long: $(ENVIRONMENT)/ready  ## faults in the middle, the wheel, the recipes of CONTRIBUTING.md, earlier versions
	$(ENVIRONMENT)/bin/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "long and not (cluster or servers)"

test-cluster: $(ENVIRONMENT)/ready  ## tests against servers on PostgreSQL (Debian's package postgresql), with workers
	GENLIB_TEST_DATABASE=$${GENLIB_TEST_DATABASE-postgresql} $(ENVIRONMENT)/bin/pytest -m "cluster or servers"

audit: $(ENVIRONMENT)/ready  ## known vulnerabilities of the dependencies
	infra/audit.sh

ui: $(ENVIRONMENT)/ready  ## the MLflow and Prefect interfaces, on this machine only
	$(RUN) -m pipelines ui

servers: $(ENVIRONMENT)/ready  ## servers on PostgreSQL and a worker to try things on, gone at Ctrl-C
	$(RUN) -m tests.cluster postgresql

bench: $(ENVIRONMENT)/ready  ## speed and memory, as ratios within one run
	$(RUN) -m tests.benchmarks

quality: $(ENVIRONMENT)/ready  ## the samples of trained models; takes hours, and goes on where it was cut off
	$(RUN) -m tests.benchmarks quality

wheel: $(ENVIRONMENT)/ready  ## the package, in dist/
	$(RUN) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

docs: $(ENVIRONMENT)/ready  ## docs/configuration.md, from the code
	$(RUN) -m genlib.config.reference docs/configuration.md

$(ENVIRONMENT)/ready: pyproject.toml setup.py infra/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "genlib needs Python 3.11 or later; name one: make PYTHON=python3.11 ...")'
	test -x $(RUN) || $(PYTHON) -m venv $(ENVIRONMENT)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint infra/constraints.txt --editable '.[pipelines,dev]'
	touch $@

clean:  ## remove the environment and everything that runs made
	rm -rf $(ENVIRONMENT) .genlib
