#!/bin/sh
# The size of the library as an app ships it, and what it is made of: one line for
# each of the largest parts, by the names of its symbols.
set -eu
cd "$(dirname "$0")/.."

# The library alone: the archive for Apple's systems would be linked a second time.
cargo rustc -q --profile phone -p shaodao-ffi --crate-type cdylib
library=target/phone/libshaodao.so
stripped=$(mktemp)
symbols=$(mktemp)
trap 'rm -f "$stripped" "$symbols"' EXIT
cp "$library" "$stripped"
strip --strip-unneeded "$stripped"
bytes=$(wc -c <"$stripped")
awk -v bytes="$bytes" 'BEGIN {
    printf "library for phones, stripped: %.1f MiB (at most 12)\n", bytes / 1048576
}'

nm --size-sort --print-size --radix=d --demangle "$library" >"$symbols"
awk '
    function part(name,   at) {
        if (match(name, /^(<|&|dyn |mut |\[|\()+/)) name = substr(name, RLENGTH + 1)
        if (name ~ /^shaodao_core::/) return "shaodao-core"
        if (name ~ /^shaodao/ || name ~ /uniffi_shaodao/ || name ~ /^UNIFFI/) return "shaodao-ffi"
        if (name ~ /^(sqlite3|sqlcipher|fts5|yy|json|btree|vdbe|pager|codec)/ ||
            name ~ /^(whereL|balance|unix|wal|select|resolve|parse)/) return "sqlcipher"
        if (name ~ /^(ossl|OSSL|EVP|evp|CRYPTO|crypto|ASN1|asn1|X509|x509|RSA|rsa|EC|ec_|BN|bn_|aes|AES|sha|SHA|RAND|PEM|PKCS|CMS|TS_|OBJ|obj_|ERR|BIO|bio|DH|DSA|ED|SM|sm[234]|gcm|GCM|poly1305|ChaCha|K256|ecp_)/) return "openssl"
        if (name ~ /^(ZSTD|HUF|FSE|HIST|XXH|COVER|ZDICT)/) return "zstd"
        if (name ~ /^ring_core|^ring::/) return "ring"
        if (match(name, /^[a-z_0-9]+::/)) {
            at = substr(name, 1, RLENGTH - 2)
            if (at == "core" || at == "alloc" || at == "std" || at == "hashbrown") return "std"
            return at
        }
        return "other (C, tables)"
    }
    { name = $4; for (i = 5; i <= NF; i++) name = name " " $i; sum[part(name)] += $2 }
    END { for (it in sum) printf "%9.1f KiB  %s\n", sum[it] / 1024, it }
' "$symbols" | sort -rn | head -20

[ "$bytes" -le 12582912 ] || {
    echo "The library is larger than 12 MiB." >&2
    exit 1
}
