.DEFAULT_GOAL := help
BIN := .venv/bin
STAMP := .venv/.installed
export PYTHONWARNINGS ?= default

.PHONY: help run ui test check bench drill lock format clean

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 10
