#!/usr/bin/env bash
# Runs the OCI distribution conformance suite against a registry that is already running.
#
#   scripts/conformance.sh URL [REPORT_DIR]      e.g. http://127.0.0.1:5000
#
# The suite writes to the repositories conformance/repo1 and repo2 of that registry. Its own variables
# pass through: OCI_VERSION (1.1, or dev for the next version), OCI_USERNAME, OCI_PASSWORD,
# OCI_REPO1, OCI_API_*, OCI_DATA_* ..., and OCI_TLS=insecure for a certificate of one's own (not
# OCI_FILTER_TEST, with which the suite writes no report).
# The reports (report.html, junit.xml, results.yaml, suite.log) go to REPORT_DIR; without it to a temporary
# directory, which stays only after a failure.
#
# stdout: each test that failed or was skipped, then the counts. Exit 0: none failed. 1: some failed.
# 2: the suite could not be run. The suite comes from `scripts/peers.sh base`.
set -euo pipefail

die() { printf 'conformance.sh: %s\n' "$*" >&2; exit 2; }

case $# in
    1 | 2) ;;
    *) die 'usage: conformance.sh URL [REPORT_DIR]' ;;
esac
case $1 in
    http://*) OCI_TLS=disabled ;;
    https://*) OCI_TLS=${OCI_TLS:-enabled} ;;
    *) die "\`$1\` is not an http or https URL" ;;
esac
OCI_REGISTRY=${1#*://}
OCI_REGISTRY=${OCI_REGISTRY%/}
case $OCI_REGISTRY in
    '' | */*) die "\`$1\` must be scheme, host and port alone" ;;
esac

suite=${CORACLE_PEERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle/peers}/bin/conformance
[ -x "$suite" ] || die "no conformance suite at $suite; run scripts/peers.sh base"

# Against nothing at all the suite would report some 900 failures.
port=${OCI_REGISTRY##*:}
case $port in
    *[!0-9]*) port=$([ "$OCI_TLS" = disabled ] && echo 80 || echo 443) host=$OCI_REGISTRY ;;
    *) host=${OCI_REGISTRY%:*} ;;
esac
host=${host#[}
(exec 3<>"/dev/tcp/${host%]}/$port") 2>/dev/null || die "nothing listens at $OCI_REGISTRY"

if [ "$#" -eq 2 ]; then
    kept=yes
    mkdir -p "$2"
    OCI_RESULTS_DIR=$(cd "$2" && pwd)
else
    kept=
    OCI_RESULTS_DIR=$(mktemp -d)
fi
export OCI_REGISTRY OCI_TLS OCI_RESULTS_DIR
junit=$OCI_RESULTS_DIR/junit.xml
log=$OCI_RESULTS_DIR/suite.log

# An old report must never be read as this run's: the suite exits 0 when it cannot even start.
rm -f "$junit"
code=0
(cd "$OCI_RESULTS_DIR" && "$suite") >"$log" 2>&1 || code=$?
[ -s "$junit" ] || { tail -n 20 "$log" >&2; die "the suite wrote no report (exit $code); its log is $log"; }

# Only the suite's own lines start with a tag; what it quotes from answers is escaped.
sed -n 's/^ *<testcase name="\([^"]*\)".* status="\(failure\|error\|skipped\)".*/\2: \1/p' "$junit" | sort -u
# The suite leaves out a count of zero.
count() { sed -n '/^ *<testsuite /{s/.* '"$1"'="\([0-9]*\)".*/\1/;s/^ *<.*/0/;p;q}' "$junit"; }
tests=$(count tests)
failed=$(($(count failures) + $(count errors)))
skipped=$(($(count skipped) + $(count disabled)))
[ "$tests" -gt 0 ] || die "the suite ran no test; its log is $log"
echo "conformance: $((tests - failed - skipped)) passed, $failed failed, $skipped skipped"

if [ "$failed" -gt 0 ] || [ "$code" -ne 0 ]; then
    echo "reports: $OCI_RESULTS_DIR" >&2
    exit 1
fi
if [ -z "$kept" ]; then rm -rf "$OCI_RESULTS_DIR"; fi
