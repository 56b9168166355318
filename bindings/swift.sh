#!/bin/sh
# Runs a command of the Swift package: `bindings/swift.sh "swift test"`. Where the
# machine has no Swift, in a Debian 13 of its own (.tools/trixie), made once.
set -eu
cd "$(dirname "$0")/.."
. bindings/need.sh
command=$1
root=$PWD
library=${SHAODAO_LIBRARY:-$root/target/debug}

# What pkg-config tells SwiftPM: where the library is, as the compiler sees it.
mkdir -p bindings/swift/Linux
cat >bindings/swift/Linux/shaodao.pc <<END
Name: shaodao
Description: The phone of Shaodao
Version: 0.1.0
Libs: -L$library -lshaodao
Cflags:
END
run="cd $root/bindings/swift && export PKG_CONFIG_PATH=$root/bindings/swift/Linux \
LD_LIBRARY_PATH=$library:\${LD_LIBRARY_PATH:-} SHAODAO_SERVER=$root/target/debug/shaodao-server \
LANG=C.UTF-8 && $command"

if command -v swift >/dev/null 2>&1; then
    exec sh -c "$run"
fi

# Debian 13 has a Swift compiler, Debian 12 has not: a Debian 13 in a folder, made
# once from the mirror that this machine uses itself.
trixie=$root/.tools/trixie
if [ ! -e "$trixie/.complete" ]; then
    need debootstrap debootstrap
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' 'Origin: Debian' |
        sed -n 's/ Debian$//p' | head -1)
    [ -n "$mirror" ] || {
        echo "No Debian mirror in this machine's apt configuration, and no swift: cannot test Swift." >&2
        exit 1
    }
    echo "Making a Debian 13 with Swift in .tools/trixie (3.3 GB, some minutes)"
    mkdir -p .tools
    as_root rm -rf "$trixie"
    as_root debootstrap --variant=minbase \
        --include=swiftlang,swiftlang-dev,libc6-dev,libstdc++-14-dev,git,binutils,libncurses6,pkgconf,ca-certificates \
        trixie "$trixie" "$mirror" >"$trixie.log" || {
        tail -20 "$trixie.log" >&2
        exit 1
    }
    as_root touch "$trixie/.complete"
fi
# The mounts are seen by this command alone and end with it.
as_root unshare --mount sh -eu -c '
    trixie=$1 root=$2 run=$3
    mkdir -p "$trixie$root"
    mount --bind "$root" "$trixie$root"
    mount -t proc proc "$trixie/proc"
    exec chroot "$trixie" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        LD_LIBRARY_PATH=/usr/libexec/swift/lib/swift/linux:/usr/libexec/swift/lib sh -c "$run"
' sh "$trixie" "$root" "$run"
