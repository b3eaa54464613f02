#!/usr/bin/env bash
# Installs OpenSSH's server, which the test of SSH remotes starts by itself on loopback, and
# nothing starts otherwise. Where that is not possible it says so, and the test is skipped.
set -euo pipefail

if command -v sshd >/dev/null || [ -x /usr/sbin/sshd ]; then
    exit 0
fi
skip() {
    echo "sshd is not installed ($1): the test of SSH remotes will be skipped" >&2
    exit 0
}
command -v apt-get >/dev/null || skip "this is no Debian"
[ "$(id -u)" = 0 ] || skip "that needs root: apt-get install openssh-server openssh-client"

# The package would start a server on port 22.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
install="apt-get install -y -qq --no-install-recommends openssh-server openssh-client"
$install >/dev/null 2>&1 || { apt-get update -qq >/dev/null && $install >/dev/null; } ||
    skip "apt-get failed"
