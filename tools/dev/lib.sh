# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What dev and its scripts share. Sourced with TALLY_ROOT, the tree's root, already set.

say() {
    printf '%s\n' "$*"
}

die() {
    printf 'dev: %s\n' "$*" >&2
    exit 1
}

# A scratch folder that goes with the script. Sets scratch.
make_scratch() {
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/tally-dev.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
}

is_installed() {
    # "install ok installed": a removed package keeps a status, too.
    [[ $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) == "install ok installed" ]]
}

# Runs apt-get as root. Lock::Timeout: another apt may be at work, and it ends.
apt_get() {
    local -a as_root=()
    if [[ $(id -u) -ne 0 ]]; then
        as_root=(sudo)
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# need PURPOSE...: the packages of these purposes are installed when it returns.
need() {
    local purpose package _why
    local -a missing=()

    if ! command -v dpkg-query >/dev/null; then
        return # not Debian: the tools are there, or the first one missing says so
    fi
    while IFS=$'\t' read -r purpose package _why; do
        # A package may serve several purposes; it is named once.
        if [[ " $* " == *" $purpose "* && " ${missing[*]} " != *" $package "* ]] &&
            ! is_installed "$package"; then
            missing+=("$package")
        fi
    done < <(grep -v -e '^#' -e '^$' "$TALLY_ROOT/tools/dev/packages.txt")
    if [[ ${#missing[@]} -eq 0 ]]; then
        return
    fi
    if [[ $(id -u) -ne 0 ]] && ! command -v sudo >/dev/null; then
        die "missing packages, and neither root nor sudo to install them. As root:
    apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "dev: installing ${missing[*]}"
    apt_get update || die "apt-get update failed; missing: ${missing[*]}"
    apt_get install --yes --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt-get could not install: ${missing[*]}"
}

# Sets bazel, the command with its start-up options. TALLY_BAZEL names another binary,
# TALLY_BAZEL_STARTUP start-up options of your own (an --output_base, for instance).
find_bazel() {
    local home=${HOME:-}
    local -a startup=()

    if [[ -n ${TALLY_BAZEL_STARTUP:-} ]]; then
        read -r -a startup <<<"$TALLY_BAZEL_STARTUP"
    fi
    bazel=("${TALLY_BAZEL:-bazel}" "${startup[@]}")
    # Bazel keeps its results below HOME and stops when it cannot write there.
    if [[ -z $home || ! -d $home || ! -w $home ]]; then
        home=${TMPDIR:-/tmp}/tally-home-$(id -u)
        [[ -d $home ]] || mkdir -m 700 "$home"
        [[ -O $home ]] || die "$home belongs to somebody else"
        export HOME=$home
    fi
    command -v "${bazel[0]}" >/dev/null || die "no Bazel: ${bazel[0]} not found"
}

# Bazel's own chatter, by where it goes: progress for a person, lines for a log.
bazel_ui_flags() {
    if [[ -t 1 && -z ${CI:-} ]]; then
        printf '%s\n' --color=auto
    else
        printf '%s\n' --color=no --curses=no --noshow_progress --ui_event_filters=-info
    fi
}

# bazel_run COMMAND [ARG...]: from the tree's root, without standard input.
bazel_run() {
    local command=$1
    local -a ui=()
    shift
    mapfile -t ui < <(bazel_ui_flags)
    (cd "$TALLY_ROOT" && "${bazel[@]}" "$command" "${ui[@]}" "$@" </dev/null)
}

# The folder of a configuration's outputs: bazel_bin FLAG...
bazel_bin() {
    (cd "$TALLY_ROOT" && "${bazel[@]}" info --color=no "$@" bazel-bin </dev/null 2>/dev/null)
}

# The tree's files, tracked or new, that match the patterns: none ignored, none deleted.
tree_files() {
    (
        cd "$TALLY_ROOT" || exit
        git ls-files --cached --others --exclude-standard -- "$@" | while IFS= read -r file; do
            if [[ -f $file ]]; then
                printf '%s\n' "$file"
            fi
        done
    )
}
