#!/bin/sh
# Builds ShaodaoFFI.xcframework for iOS, its simulator and macOS. Needs a Mac with
# Xcode and says so; Package.swift takes the framework from this folder.
set -eu
cd "$(dirname "$0")/../.."

if [ "$(uname)" != Darwin ] || ! xcodebuild -version >/dev/null 2>&1; then
    echo "No Xcode found: an xcframework is built on a Mac. Nothing was built." >&2
    exit 2
fi
device=aarch64-apple-ios
simulators="aarch64-apple-ios-sim x86_64-apple-ios"
macs="aarch64-apple-darwin x86_64-apple-darwin"
export IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for target in $device $simulators $macs; do
    rustup target add "$target"
    cargo build --profile phone -p shaodao-ffi --target "$target"
done
library() { echo "target/$1/phone/libshaodao.a"; }
together() {
    name=$1
    shift
    mkdir -p "$work/$name"
    for target in "$@"; do library "$target"; done | xargs lipo -create -output "$work/$name/libshaodao.a"
}
together device $device
together simulator $simulators
together mac $macs

mkdir -p "$work/headers"
cp bindings/swift/Sources/ShaodaoFFI/ShaodaoFFI.h "$work/headers/"
# A static library asks for no other library to be linked by name.
sed '/link "shaodao"/d' bindings/swift/Sources/ShaodaoFFI/module.modulemap >"$work/headers/module.modulemap"

out=bindings/swift/ShaodaoFFI.xcframework
rm -rf "$out"
xcodebuild -create-xcframework \
    -library "$work/device/libshaodao.a" -headers "$work/headers" \
    -library "$work/simulator/libshaodao.a" -headers "$work/headers" \
    -library "$work/mac/libshaodao.a" -headers "$work/headers" \
    -output "$out"
echo "$out"
