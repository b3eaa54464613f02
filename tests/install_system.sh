#!/usr/bin/env bash
# Installs what a few tests use besides Python: OpenSSH's server and PostgreSQL, which tests start by
# themselves on loopback and nothing starts otherwise, and Chromium, which opens reports.
# Where that is not possible it says so, and those tests are skipped.
set -euo pipefail

wanted=()
command -v sshd >/dev/null || [ -x /usr/sbin/sshd ] || wanted+=(openssh-server openssh-client)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || wanted+=(chromium)
command -v postgres >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null ||
    wanted+=(postgresql)
[ ${#wanted[@]} -gt 0 ] || exit 0
skip() {
    echo "not installed ($1), so its tests will be skipped: ${wanted[*]}" >&2
    exit 0
}
command -v apt-get >/dev/null || skip "this is no Debian"
[ "$(id -u)" = 0 ] || skip "that needs root: apt-get install ${wanted[*]}"

# OpenSSH's package would start a server on port 22, and PostgreSQL's one on 5432.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -y -qq --no-install-recommends "${wanted[@]}")
"${install[@]}" >/dev/null 2>&1 || { apt-get update -qq >/dev/null && "${install[@]}" >/dev/null; } ||
    skip "apt-get failed"
