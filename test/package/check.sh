#!/usr/bin/env bash
# Installs the packed package into a new ESM Nest 12, CommonJS Nest 12 and CommonJS Nest 11 application, and uses it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$root" && npm pack --silent --ignore-scripts --pack-destination "$work" >/dev/null)
for app in "$here"/apps/*/; do
  name=$(basename "$app")
  echo "$name"
  mkdir "$work/$name"
  cp "$app/package.json" "$here/apps/tsconfig.json" "$here/app.ts" "$work/$name/"
  cd "$work/$name"
  npm install --silent --no-audit --no-fund "$work"/nest-sessions-*.tgz @types/node@20
  "$root/node_modules/.bin/tsc" -p .
  node dist/app.js
done
