# Sourced by bin/demo and bin/test from the top of the checkout.

# venv_install WHAT: have WHAT ("." or ".[test]") installed in .venv.
# Nothing is done if setup.cfg has not changed since the last time.
venv_install() {
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'
    then
        echo "Python 3.11 or newer is needed: install python3" >&2
        exit 1
    fi
    if [ ! -x .venv/bin/python ]; then
        echo "making .venv ..."
        if ! python3 -m venv .venv; then
            rm -rf .venv
            echo "python3 -m venv failed; on Debian: apt install" \
                "python3-venv" >&2
            exit 1
        fi
    fi
    # Both extras are in one environment; the larger one serves for both.
    for stamp in ".venv/installed-.[test]" ".venv/installed-$1"; do
        if [ -f "$stamp" ] && cmp -s "$stamp" setup.cfg; then
            return 0
        fi
    done
    echo "installing $1 into .venv ..."
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --editable "$1"
    cp setup.cfg ".venv/installed-$1"
}
