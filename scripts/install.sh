#!/bin/sh
# Install the project, editable, into an environment: install.sh VENV REQUIREMENT
# With uv where there is one, with pip otherwise.
set -eu
python="$1/bin/python"
what="$2"

if command -v uv >/dev/null 2>&1; then
    uv="uv"
else
    "$python" -m pip install --quiet "uv>=0.5" 2>/dev/null || true
    uv="$1/bin/uv"
fi

echo "Installing groundglass ($what) into $1 ..."
if "$uv" --version >/dev/null 2>&1 && "$uv" pip install --quiet --python "$python" -e "$what"; then
    exit 0
fi
exec "$python" -m pip install --quiet -e "$what"
