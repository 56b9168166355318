#!/bin/sh
# Two screens of a phone with 1,000 findings, through Kotlin, through Swift, and by
# the core alone: medians of 301. Wanted: at most 5 ms (list) and 3 ms (detail) on
# top of the core's own time. test.sh has installed what this needs.
set -eu
cd "$(dirname "$0")/.."
root=$PWD

cargo build -q -p shaodao-server
cargo build -q --profile phone -p shaodao-core --example screens
cargo rustc -q --profile phone -p shaodao-ffi --crate-type cdylib
folder=$root/target/bindings-bench
rm -rf "$folder"
mkdir -p "$folder"

(
    cd bindings/kotlin
    mvn -B -ntp -q -DskipTests test-compile
    mvn -B -ntp -q dependency:build-classpath -Dmdep.outputFile="$folder/classpath" >/dev/null
)
java -Djna.library.path="$root/target/phone" -Dshaodao.server="$root/target/debug/shaodao-server" \
    -cp "bindings/kotlin/target/test-classes:bindings/kotlin/target/classes:$(cat "$folder/classpath")" \
    shaodao.Bench "$folder"
target/phone/examples/screens "$folder"
SHAODAO_LIBRARY=$root/target/phone bindings/swift.sh "swift run -c release --disable-sandbox --scratch-path .build/bench Bench $folder"
