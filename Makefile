# `make`: set up .venv and build everything. `make test`: set up and test.
# `make test-slurm`: the workflow through a real Slurm of one node; installs it, needs root.
# `make dynamics`: the networks trained here, followed through their training.
# `make evidence`: stability, analytic fits, nulls, baselines, master keys. `make release`: one folder of results.
# `make docs`: fill the tables of README.md and docs/ with the numbers in results/ and the rules.
# `make check`: format, lint, types. `make report`: the HTML report of the results.
# `make lock`: regenerate the pins. `make registry`: regenerate the registry of timm.
# `make benchmark`: autoencoder against k-means, labels against other formulas, fits against scipy, extraction against timm, training.
# `make verify-hub`: compare with timm's own loading from the real hub; needs a network.
PYTHON ?= python3
CORES ?= all
ROOMS := $(addprefix tests/,running kernels sources clustering evidence training release tables figures docs)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: all setup test test-library test-workflow test-slurm check report lock registry benchmark dynamics evidence release docs verify-hub clean
all: setup
	snakemake --cores $(CORES) all

setup: .venv/ready

# Binary wheels only where there are any; a few pure Python packages have none.
.venv/ready: envs/requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r envs/requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# Two at once, each told as a whole when it ends; the first has time for tests/slurm (ALSO).
test: setup
	$(MAKE) --no-print-directory -j2 -Otarget test-library test-workflow

test-library: setup
	pytest $(ROOMS) tests/hub $(ALSO)

test-workflow: setup
	pytest tests/workflow tests/faults

test-slurm: setup
	python tests/slurm/cluster.py install
	pytest tests/slurm

check: setup
	ruff format --check workflow tests benchmarks envs docs
	ruff check workflow tests benchmarks envs docs
	snakefmt --check Snakefile workflow/rules
	snakemake --lint
	mypy

dynamics: setup
	snakemake --cores $(CORES) dynamics

evidence: setup
	snakemake --cores $(CORES) evidence

release: setup
	snakemake --cores $(CORES) release

docs: setup
	python docs/numbers.py
	python docs/rules.py

report: all dynamics evidence
	snakemake --report results/report.html all dynamics evidence

lock: setup
	$(BIN)/python envs/lock.py

registry: setup
	python -m kernelatlas.sources.registry_build

benchmark: all
	python benchmarks/autoencoder.py --without-former --kernels 6000 24000
	python benchmarks/labels.py --seeds-alone results/corpora/k7.parquet
	python benchmarks/baselines.py
	python benchmarks/fits.py
	python benchmarks/extraction.py
	python benchmarks/network.py

verify-hub: setup
	python tests/hub/verify.py

clean:
	git clean -fdqX results .snakemake
