# SPDX-License-Identifier: Apache-2.0
# Everything is in tools/dev.py, which also runs without make: python tools/dev.py demo
#
#   make demo [AUDIO=my.wav] [DIRECTIONS=my.json] [CHARACTER=my.blend] [BLENDER=/path/to/blender] [OUT=folder] [SEED=7] [FILM=1]
#   make test [ARGS="-k wire"]     make test-all     make test-wheels     make test-real [BLENDER_SUITE=sid]     make addon     make bench     make ui     make film [PHOTO=me.jpg]     make weights DATA=folder [CONFIG=starter-nc]     make clean
#   make soak      make stress     make fuzz      (the bridge, long: each ends by itself and writes benchmarks/results.json)

PYTHON ?= python3
ifeq ($(OS),Windows_NT)
  PYTHON := py -3.11
endif

export AUDIO DIRECTIONS CHARACTER BLENDER OUT SEED GENERATOR PHOTO DATA CONFIG FOLDER FILM BLENDER_SUITE

.PHONY: demo test test-all test-wheels test-real addon bench soak stress fuzz ui film weights clean
demo test test-all test-wheels test-real addon bench soak stress fuzz ui film weights clean:
	@$(PYTHON) tools/dev.py $@ $(ARGS)
