#!/bin/sh
# Builds the library for phones for this machine: as an app ships it, but for the
# processor.
set -eu
cd "$(dirname "$0")/.."

# Addresses to be filled in at loading packed: a twentieth of the library. Android's
# linker has a packing of its own (kotlin/android.sh).
# The library alone: the archive for Apple's systems would be linked a second time.
cargo rustc -q --profile phone -p shaodao-ffi --crate-type cdylib -- \
    -C link-arg=-Wl,-z,pack-relative-relocs
