#!/bin/sh
# Generates the Kotlin and Swift sources from the built library. With --check
# nothing is written: it fails if what is committed is not what the library
# generates now.
set -eu
cd "$(dirname "$0")/.."

# The whole workspace, so that the other tests find everything built the same way.
[ -n "${SHAODAO_BUILT:-}" ] || cargo build -q --workspace
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

library=target/debug/libshaodao.so
[ -e "$library" ] || library=target/debug/libshaodao.dylib
generate() {
    target/debug/shaodao-generate generate "$library" --no-format \
        --config bindings/generate/names.toml "$@" >/dev/null
}
generate --language kotlin --out-dir "$work/kotlin"
generate --language swift --out-dir "$work/swift"

# Trailing blanks are the generator's, not ours to keep.
find "$work" -type f -exec sed -i.bak -e 's/[[:blank:]]*$//' {} +
find "$work" -name '*.bak' -delete

kotlin=bindings/kotlin/src/generated/kotlin/shaodao/shaodao.kt
swift=bindings/swift/Sources/ShaodaoGenerated/ShaodaoGenerated.swift
header=bindings/swift/Sources/ShaodaoFFI/ShaodaoFFI.h

if [ "${1:-}" = --check ]; then
    for pair in "kotlin/shaodao/shaodao.kt $kotlin" \
        "swift/ShaodaoGenerated.swift $swift" "swift/ShaodaoFFI.h $header"; do
        set -- $pair
        cmp -s "$work/$1" "$2" || {
            echo "$2 is not what the library generates: run bindings/generate.sh" >&2
            diff "$2" "$work/$1" | head -20 >&2
            exit 1
        }
    done
    echo "The generated sources are what the library generates."
    exit 0
fi
mkdir -p "$(dirname "$kotlin")" "$(dirname "$swift")" "$(dirname "$header")"
cp "$work/kotlin/shaodao/shaodao.kt" "$kotlin"
cp "$work/swift/ShaodaoGenerated.swift" "$swift"
cp "$work/swift/ShaodaoFFI.h" "$header"
