#!/bin/sh
# Compiles as rustc does and warns as clippy does, and a warning is an error: what is to be linted and tested is
# compiled once. For cargo, as RUSTC_WORKSPACE_WRAPPER.
exec clippy-driver "$@" --deny=warnings
