#!/bin/sh
# Four screens of a phone with 1,000 findings and 50 whistles by the core alone,
# through Kotlin and through Swift: medians, and what each border puts on top.
# Wanted on top: at most 5 ms for a list and 3 ms for a detail page.
set -eu
cd "$(dirname "$0")/.."
. bindings/need.sh
root=$PWD

need javac openjdk-17-jdk-headless
need mvn maven
cargo build -q --workspace
cargo build -q --profile phone -p shaodao-core --example screens
bindings/phone.sh
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
    shaodao.Bench "$folder" >"$folder/times"
target/phone/examples/screens "$folder" >>"$folder/times"
SHAODAO_LIBRARY=$root/target/phone bindings/swift.sh \
    "swift build -q -c release --disable-sandbox --product Bench --scratch-path .build/bench >&2 && .build/bench/release/Bench $folder" \
    >>"$folder/times"

awk '
    { for (i = 2; i <= 5; i++) ms[$1, i] = $i }
    function line(name, i, most,   ok) {
        kotlin = ms["Kotlin", i] - ms["core", i]
        swift = ms["Swift", i] - ms["core", i]
        ok = most == "" ? "" : sprintf("(≤ %s)%s", most, kotlin <= most && swift <= most ? " ✓" : " ✗ missed")
        printf "%-22s core %8.2f ms   Kotlin %8.2f ms, on top %6.2f   Swift %8.2f ms, on top %6.2f  %s\n",
            name, ms["core", i], ms["Kotlin", i], kotlin, ms["Swift", i], swift, ok
    }
    END {
        line("list of 50 findings", 2, 5)
        line("page of a finding", 3, 3)
        line("list of 50 whistles", 4, 5)
        line("to-do list", 5, "")
    }
' "$folder/times"
