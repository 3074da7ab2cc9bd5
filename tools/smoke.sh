#!/usr/bin/env bash
# Sees that an installed napari-clickseg works: a click on a coin gives a mask.
#
#   tools/smoke.sh          by the command line, without a screen
#   tools/smoke.sh window   in napari as well, under Xvfb
set -euo pipefail

readonly HERE=$(mktemp -d)
trap 'rm -rf "$HERE"' EXIT
cd "$HERE"

python - <<'END'
from imageio.v3 import imwrite
from skimage.data import coins

imwrite("coins.png", coins())
END
clickseg predict coins.png --positive 125,40 --out mask.tif
python - <<'END'
from tifffile import imread

area = int((imread("mask.tif") > 0).sum())
if not 800 < area < 4000:  # coins have 1,000 to 2,700 pixels
    raise SystemExit(f"smoke: the mask of the coin has {area} pixels")
print(f"smoke: the mask of the coin has {area} pixels")
END

if [[ ${1:-} == window ]]; then
    xvfb-run -a -s "-screen 0 1280x1024x24" clickseg demo --out demo-output
fi
