# What the set-up scripts share: say what is done, do only what is missing, and name the remedy when it cannot be done.
# Sourced, not run. POLYPHONY_HOME is where everything goes that is not a system package.

set -euo pipefail
: "${POLYPHONY_HOME:=${XDG_DATA_HOME:-$HOME/.local/share}/polyphony}"
export POLYPHONY_HOME
mkdir -p "$POLYPHONY_HOME/bin"

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# apt_packages NAME...: installs the Debian packages that are missing.
apt_packages() {
  local missing=() name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || die "missing: ${missing[*]}. This is no Debian: install them by your package manager."
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "missing: ${missing[*]}. As root: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${root[@]}" apt-get update -qq || die "apt-get update failed; is there a network?"
  # Within sudo, which keeps no variables.
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install ${missing[*]}; is there a network?"
}

# apt_file PACKAGE PATH: one program of a Debian package into our `bin`, without installing the package.
apt_file() {
  local part="$POLYPHONY_HOME/$1.part" root=()
  [ "$(id -u)" -eq 0 ] || root=(sudo)
  rm -rf "$part"
  mkdir -p "$part"
  (
    cd "$part"
    # The lists may be old, or none.
    apt-get download -qq "$1" >/dev/null 2>&1 ||
      { "${root[@]}" apt-get update -qq && apt-get download -qq "$1" >/dev/null 2>&1; }
  ) || die "apt-get could not download $1; is there a network? Or put ${2##*/} into $POLYPHONY_HOME/bin"
  dpkg-deb --extract "$part"/*.deb "$part"
  install "$part/$2" "$POLYPHONY_HOME/bin/"
  rm -rf "$part"
}

# needs COMMAND REMEDY: stops with the remedy when the command is missing.
needs() { command -v "$1" >/dev/null || die "$1 is missing: $2"; }

# stamp NAME CONTENT: true when this step was done with this very content before. `stamped NAME CONTENT` records it, and
# `unstamp NAME` forgets it, before what it stands for is taken apart.
stamp() { [ "$(cat "$POLYPHONY_HOME/.$1.stamp" 2>/dev/null)" = "$2" ]; }
unstamp() { rm -f "$POLYPHONY_HOME/.$1.stamp"; }
stamped() { printf '%s' "$2" >"$POLYPHONY_HOME/.$1.stamp"; }

# venv NAME REQUIREMENTS-FILE: a virtual environment with exactly these packages.
venv() {
  local dir="$POLYPHONY_HOME/$1" want
  want="$(cat "$2")"
  if stamp "$1" "$want" && [ -x "$dir/bin/python" ]; then return; fi
  say "python packages of $2"
  unstamp "$1"
  python3 -m venv --clear "$dir" 2>/dev/null || { apt_packages python3-venv; python3 -m venv --clear "$dir"; }
  "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$2" ||
    die "pip could not install $2; it needs PyPI, or a mirror in PIP_INDEX_URL"
  stamped "$1" "$want"
}
