#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# package.sh OUT: a Debian package of the install tree in OUT, left in OUT/package. Made by dpkg-buildpackage
# in a folder of its own; the same tree gives the same package, byte by byte: times are those of the last
# commit.
set -euo pipefail

: "${TALLY_ROOT:?run me by ./dev package}"
# shellcheck source=tools/dev/lib.sh
source "$TALLY_ROOT/tools/dev/lib.sh"

work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT
readonly out=$1 multiarch=usr/lib/x86_64-linux-gnu/tally

# The package's places: what other packages have names for lies below tally's own folders.
place() {
    local tree=$1

    mkdir -p "$tree/$multiarch" "$tree/usr/include" "$tree/usr/bin" "$tree/usr/share/man/man1" \
        "$tree/usr/share/man/man3"
    cp -a "$out/lib/." "$tree/$multiarch/"
    cp -a "$out/include/." "$tree/usr/include/tally/"
    cp -a "$out/libexec" "$out/share" "$tree/usr/"
    rm -rf "$tree/usr/share/man"
    mkdir -p "$tree/usr/share/man/man1" "$tree/usr/share/man/man3"
    # libjemalloc-dev has the other name.
    cp -a "$out/bin/jeprof" "$tree/usr/bin/tally-jeprof"
    # Files that find the tree by where they lie are told where it is now.
    sed -i -e '/^prefix=/s|=.*|=/usr|' -e "/^libdir=/s|=.*|=\${pcfiledir}/..|" -e '/^includedir=/s|=.*|=/usr/include/tally|' \
        "$tree/$multiarch/pkgconfig/tally.pc" "$tree/$multiarch/compat/pkgconfig/jemalloc.pc"
    # shellcheck disable=SC2016 # the script's own variable
    sed -i -e 's|^prefix=.*|prefix=/usr|' -e 's|"$prefix/include"|"$prefix/include/tally"|' \
        "$tree/$multiarch/compat/bin/jemalloc-config"
    cp "$out/share/man/man1/jeprof.1" "$tree/usr/share/man/man1/tally-jeprof.1"
    cp "$out/share/man/man3/tally.3" "$tree/usr/share/man/man3/tally.3"
}

main() {
    local version

    version=$(sed -n 's/^Version: //p' "$out/lib/pkgconfig/tally.pc")
    SOURCE_DATE_EPOCH=$(git -C "$TALLY_ROOT" log -1 --format=%ct 2>/dev/null || echo 0)
    export SOURCE_DATE_EPOCH
    mkdir -p "$work/tally/debian/source"
    cp "$TALLY_ROOT"/tools/package/{control,rules,overrides} "$work/tally/debian/"
    chmod 755 "$work/tally/debian/rules"
    echo '3.0 (native)' >"$work/tally/debian/source/format"
    {
        printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n'
        printf 'Files: *\nCopyright: 2026 the Tally authors\nLicense: BSD-2-Clause\n'
        sed -e '1,4d' -e 's/^$/./' -e 's/^/ /' "$TALLY_ROOT/LICENSE"
    } >"$work/tally/debian/copyright"
    printf 'tally (%s) unstable; urgency=medium\n\n  * As CHANGELOG.md says.\n\n -- The Tally authors <tally@localhost.localdomain>  %s\n' \
        "$version" "$(date -R -u -d "@$SOURCE_DATE_EPOCH")" >"$work/tally/debian/changelog"
    place "$work/tally/tree"
    (cd "$work/tally" && dpkg-buildpackage --build=binary --no-sign -d >"$work/log" 2>&1) ||
        die "dpkg-buildpackage: $(tail -n 20 "$work/log")"
    rm -rf "${out:?}/package"
    mkdir -p "$out/package"
    cp "$work"/*.deb "$out/package/"
    if command -v lintian >/dev/null; then
        lintian --allow-root --fail-on error "$out"/package/*.deb
    fi
    printf '%s\n' "$out"/package/*.deb
}

main
