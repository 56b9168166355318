#!/bin/sh
# Builds the AAR for Android: the library for each processor with cargo-ndk, the
# classes of this Maven build, the consumer rules. Needs an NDK and says so.
set -eu
cd "$(dirname "$0")/../.."

ndk=${ANDROID_NDK_HOME:-${ANDROID_NDK_ROOT:-}}
if [ -z "$ndk" ]; then
    for found in "${ANDROID_HOME:-/nonexistent}"/ndk/* "$HOME"/Android/Sdk/ndk/*; do
        [ -d "$found" ] && ndk=$found
    done
fi
if [ -z "$ndk" ] || [ ! -d "$ndk" ]; then
    echo "No Android NDK found: set ANDROID_NDK_HOME. Nothing was built." >&2
    exit 2
fi
export ANDROID_NDK_HOME=$ndk
command -v cargo-ndk >/dev/null 2>&1 || cargo install cargo-ndk --locked

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rustup target add aarch64-linux-android armv7-linux-androideabi x86_64-linux-android
# 16 KiB pages: required of apps for Android 15 and newer. Packed addresses: the
# format that Android 6 and newer read.
RUSTFLAGS="-C link-arg=-Wl,-z,max-page-size=16384 -C link-arg=-Wl,--pack-dyn-relocs=android" cargo ndk \
    -t arm64-v8a -t armeabi-v7a -t x86_64 -P 26 -o "$work/jni" build --profile phone -p shaodao-ffi

(cd bindings/kotlin && mvn -B -ntp -q -DskipTests package)
mkdir -p "$work/aar"
mv "$work/jni" "$work/aar/jni"
cp bindings/kotlin/target/shaodao-0.1.0.jar "$work/aar/classes.jar"
cp bindings/kotlin/src/main/resources/META-INF/proguard/shaodao.pro "$work/aar/proguard.txt"
cat >"$work/aar/AndroidManifest.xml" <<END
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="shaodao">
    <uses-sdk android:minSdkVersion="26" />
    <uses-permission android:name="android.permission.INTERNET" />
</manifest>
END
: >"$work/aar/R.txt"
out=$PWD/bindings/kotlin/target/shaodao-0.1.0.aar
rm -f "$out"
(cd "$work/aar" && jar --create --no-manifest --file "$out" .)
echo "$out"
echo "An app adds net.java.dev.jna:jna:5.17.0@aar and kotlinx-coroutines-android beside it."
