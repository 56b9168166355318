#!/bin/sh
# The size of the library as an app ships it, and what it is made of: a budget line
# for each of the largest parts. Rust is told apart by the crates in its symbols, C by
# the archives that define them.
set -eu
cd "$(dirname "$0")/.."
. bindings/need.sh

need nm binutils
bindings/phone.sh
library=target/phone/libshaodao.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strip --strip-unneeded -o "$work/stripped" "$library"
bytes=$(wc -c <"$work/stripped")

# Of every C archive, crate and symbol.
find target/phone/build -name '*.a' | while read -r archive; do
    crate=$(echo "$archive" | sed 's|^target/phone/build/||; s|-[0-9a-f]*/.*||')
    nm "$archive" 2>/dev/null | awk -v crate="$crate" 'NF == 3 && $2 != "U" { print crate, $3 }'
done | sort -u >"$work/c"
nm --print-size --radix=d --demangle "$library" | awk 'NF >= 4' >"$work/symbols"

awk -v bytes="$bytes" '
    # Budgets in KiB, as measured and a little room: what grows is seen.
    BEGIN {
        TABLES = "texts, tables of the linker and for unwinding"
        split("openssl-sys 3100 shaodao 1300 libsqlite3-sys 900 std 800 ring 620 zstd-sys 350 hexane 350 rustls 330 automerge 300 uniffi_core 280 tokio 280", list, " ")
        for (i = 1; i in list; i += 2) budget[list[i]] = list[i + 1]
    }
    FNR == NR { if ($1 != "shaodao-ffi") c[$2] = $1; next }
    function part(name,   crate, rest) {
        if (name in c) return c[name]
        # What is generic belongs to whom it is made for.
        rest = name
        while (match(rest, /[a-z_][a-z_0-9]*::/)) {
            crate = substr(rest, RSTART, RLENGTH - 2)
            if (crate !~ /^(core|alloc|std|hashbrown)$/) return crate ~ /^shaodao/ ? "shaodao" : crate
            rest = substr(rest, RSTART + RLENGTH)
            # The path goes on: past it, to the next type.
            sub(/^[A-Za-z_0-9{}#:]*/, "", rest)
        }
        if (name ~ /^anon\./) return TABLES
        if (name ~ /::/ || name ~ /^rust_|^__rust|^_R/) return "std"
        if (name ~ /^(uniffi|ffi)_shaodao|^UNIFFI/) return "shaodao"
        return "other"
    }
    {
        name = $4
        for (i = 5; i <= NF; i++) name = name " " $i
        it = part(name)
        sum[it] += $2
        all += $2
    }
    END {
        sum[TABLES] += bytes - all
        for (it in sum) {
            verdict = ""
            if (it in budget) verdict = sprintf("(≤ %d) %s", budget[it], sum[it] / 1024 <= budget[it] ? "✓" : "✗ over")
            printf "%10.1f KiB  %-46s %s\n", sum[it] / 1024, it, verdict
        }
    }
' "$work/c" "$work/symbols" | sort -rn >"$work/parts"

verdict='✗ missed'
[ "$bytes" -gt 12582912 ] || verdict='✓'
printf 'library for phones, stripped: %s bytes (≤ 12582912) %s\n' "$bytes" "$verdict"
head -16 "$work/parts"
