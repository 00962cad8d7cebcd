PYTHON ?= python3.11
BIN = .venv/bin
INSTALLED = .venv/installed

.PHONY: demo test soak bench-train bench-sweep bench-answers bench-deid constraints

demo: $(INSTALLED)
	$(BIN)/radsweep demo --out demo

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/python -m pytest

# What takes minutes: more kills on more workers, compiled towers; the truth of `joint` on two hospitals takes two hours.
soak: $(INSTALLED)
	$(BIN)/python -m pytest -m soak

# Each prints its figures beside their bars and fails if one is missed: about ten minutes.
bench-train: export RAY_DATA_LOG_LEVEL = ERROR
bench-train: $(INSTALLED)
	$(BIN)/python tests/bench/cache.py
	$(BIN)/python tests/bench/stream.py
	$(BIN)/python tests/bench/overhead.py

# Turnaround of a trial, cost of the driver over 1,000 of them, savings of early stopping on recorded curves; with PAIRS=folder, the quote against real sweeps as well.
bench-sweep: $(INSTALLED)
	$(BIN)/python tests/bench/turnaround.py
	$(BIN)/python tests/bench/driver.py
	$(BIN)/python tests/bench/sweep.py $(PAIRS)

# Simulated sweeps whose truth is known: winners by chance, intervals that hold the truth, planted effects found; about 16 minutes.
# With BONE=manifest.csv, real radiographs with regions and displacement, also what ImageNet's weights see in them against raw pixels.
bench-answers: $(INSTALLED)
	$(BIN)/python tests/bench/answers.py
	$(if $(BONE),$(BIN)/python tests/bench/bone.py $(BONE))

# De-identification, each figure beside its bar: headers, pixels, reports, the pseudonymizer, and what it all costs; about 25 minutes.
# With DATA=folder of public sets (dicom/, french/), real radiographs and gold spans as well; what is absent is said.
bench-deid: $(INSTALLED)
	$(BIN)/python tests/bench/headers.py $(if $(DATA),$(DATA)/dicom)
	$(BIN)/python tests/bench/burned_in.py $(if $(DATA),$(DATA)/dicom)
	$(BIN)/python tests/bench/reports.py
	$(BIN)/python tests/bench/pseudonymize.py $(DATA)
	$(BIN)/python tests/bench/prepare.py
	$(BIN)/python tests/bench/memory.py

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# The versions that were chosen; everything below them is resolved anew. Run it on purpose, then `make test`.
CHOSEN = ray==2.60.0 torch==2.13.0 torchvision==0.28.0 timm==1.0.31 transformers==5.23.0 optuna==5.0.0 mlflow==3.17.2 \
  pyarrow==25.0.1 pydicom==3.0.2 rapidocr==3.10.0

constraints:
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/pip install --quiet --disable-pip-version-check $(CHOSEN) --editable '.[dev]'
	build/constraints/bin/pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt
	rm -rf build/constraints
