# make              set up .venv and build everything
# make test         set up and run all tests but those of Slurm and of the browser
# make test-slurm   run the workflow through a real Slurm of one node; installs it, needs root (Debian)
# make test-browser the explorer's page in a real Chromium; installs it, needs root (Debian)
# make check        format, lint, types, and that every figure has a table and a caption
# make dynamics     follow the networks trained here through their training
# make evidence     stability, analytic fits, nulls, baselines, master keys
# make frozen       train a small network with learned and with frozen depthwise kernels
# make release      gather the results in one folder for an archive
# make report       report.html in the folder of the results: Snakemake's report, with captions
# make docs         fill README.md and docs/ with numbers and figures of the results, and the rules
# make benchmark    measure speed (docs/benchmarks.md)
# make verify-hub   compare with timm's own loading from the real hub; needs a network
# make lock         regenerate the pins from pyproject.toml
# make registry     regenerate the registry of timm's networks, after an upgrade of timm
# make clean        remove results, results_* and Snakemake's own files
PYTHON ?= python3
CORES ?= all
ROOMS := $(addprefix tests/,running kernels sources clustering evidence training release tables figures docs)
# Tests of the workflow that run beside those of the library, so that both take the same time.
WITH_LIBRARY := $(addprefix tests/workflow/test_,from_a_hub.py zoo_of_formats.py)
# The environment, relative to this folder or absolute.
VENV ?= .venv
BIN := $(VENV)/bin
export ENVIRONMENT := $(if $(filter /%,$(VENV)),$(VENV),$(CURDIR)/$(VENV))
# The folder of the results, as config.yaml has it.
RESULTS = $(shell sed -n 's/^results: *\([^ ]*\).*/\1/p' config.yaml)
export PATH := $(ENVIRONMENT)/bin:$(PATH)

.PHONY: all setup plain test test-library test-workflow test-slurm test-browser check report lock registry benchmark dynamics evidence frozen release docs verify-hub clean
all: setup
	snakemake --cores $(CORES) all

setup: $(VENV)/ready

# Snakemake gives the path of Python to a shell as it is, and colons divide PATH.
plain:
	@odd=$$(printf %s "$$ENVIRONMENT" | tr -d '[:alnum:]\200-\377@%+=,./_-'); \
	test -z "$$odd" || { echo "ERROR $$ENVIRONMENT: Snakemake starts no Python in a folder whose path has $$odd:" \
	"rename the folder, or have the environment elsewhere: make VENV=/path/to/environment" >&2; exit 1; }

# Source distributions are allowed: a few pure Python packages have no wheel.
$(VENV)/ready: envs/requirements.txt pyproject.toml | plain
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r envs/requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# Sums on two threads in two processes at once would wait for each other on a machine of two cores.
test-library test-workflow test-slurm test-browser: export OMP_NUM_THREADS := 1

# At once; the output of each is printed when it ends. The first two take about the same time; ALSO
# names further targets: test-slurm, which mostly waits, and test-browser. They share the project in
# which everything has run (tests/conftest.py).
test: setup
	shared=$$(mktemp -d) && trap 'rm -rf "$$shared"' EXIT && SHARED_PROJECTS="$$shared" \
	$(MAKE) --no-print-directory -j4 -Otarget test-library test-workflow $(ALSO)

test-library: setup
	pytest $(ROOMS) tests/hub tests/faults $(WITH_LIBRARY)

test-workflow: setup
	pytest tests/workflow $(addprefix --ignore=,$(WITH_LIBRARY))

test-slurm: setup
	python tests/slurm/cluster.py install
	pytest tests/slurm

test-browser: setup $(VENV)/browser
	python tests/browser/chromium.py install
	PYTHONPATH=$(ENVIRONMENT)/browser pytest tests/browser

$(VENV)/browser: envs/browser.txt | setup
	rm -rf $@ $@.partial
	$(BIN)/pip install --quiet --require-hashes --target $@.partial -r envs/browser.txt
	mv $@.partial $@

check: setup
	ruff format --check workflow tests benchmarks envs docs
	ruff check workflow tests benchmarks envs docs
	snakefmt --check Snakefile workflow/rules
	snakemake --lint
	mypy
	pytest --quiet tests/workflow/test_rules.py

dynamics: setup
	snakemake --cores $(CORES) dynamics

evidence: setup
	snakemake --cores $(CORES) evidence

frozen: setup
	snakemake --cores $(CORES) frozen

release: setup
	snakemake --cores $(CORES) release

docs: setup
	python docs/numbers.py --results $(RESULTS)
	python docs/rules.py
	for picture in docs/*.png; do cp $(RESULTS)/figures/$${picture#docs/} docs/; done

report: all dynamics evidence
	snakemake --report $(RESULTS)/report.html all dynamics evidence

lock: setup
	$(BIN)/python envs/lock.py

registry: setup
	python -m kernelatlas.sources.registry_build

benchmark: all
	python benchmarks/autoencoder.py --without-former --kernels 6000 24000
	python benchmarks/labels.py --seeds-alone $(RESULTS)/corpora/k7.parquet
	python benchmarks/baselines.py
	python benchmarks/fits.py
	python benchmarks/roofline.py
	python benchmarks/intervals.py
	python benchmarks/extraction.py
	python benchmarks/network.py
	python benchmarks/large_kernels.py
	python benchmarks/depthwise.py
	python benchmarks/explorer.py --kernels 1000000 --results $(RESULTS)

verify-hub: setup
	python tests/hub/verify.py

clean:
	git clean -fdqX results results_* .snakemake
