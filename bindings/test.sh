#!/bin/sh
# Tests the bindings in both languages against the real library and a real server:
# `bindings/test.sh [kotlin|swift]`. Installs what is missing where it may (apt).
set -eu
cd "$(dirname "$0")/.."
which=${1:-all}

. bindings/need.sh

# The whole workspace, so that the other tests find everything built the same way.
[ -n "${SHAODAO_BUILT:-}" ] || cargo build -q --workspace
export SHAODAO_BUILT=1
bindings/generate.sh --check
make -s .tools/font.ttc

if [ "$which" != swift ]; then
    need javac openjdk-17-jdk-headless
    need mvn maven
    # The shrinker of Android.
    [ -e bindings/kotlin/target/r8.jar ] || (
        cd bindings/kotlin
        r8=com.android.tools:r8:8.7.18
        mvn -B -ntp -q dependency:get -Dartifact=$r8 -Dtransitive=false
        mvn -B -ntp -q dependency:copy -Dartifact=$r8 -DoutputDirectory=target -Dmdep.stripVersion=true
    )
    (cd bindings/kotlin && mvn -B -ntp -q -DskipTests test-compile && mvn -B -ntp surefire:test)
fi

[ "$which" != kotlin ] || exit 0

bindings/swift.sh "swift test --disable-sandbox"
