#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes reports/report.png, the picture of the HTML report in the README: of a run in the lab in which one expectation is wrong.
# VFIOSPEC names the program, if it is not in the PATH.
set -eu
cd "$(dirname "$0")/.."
browser=$(command -v chromium-headless-shell || command -v chromium || command -v google-chrome) || {
    echo "picture.sh: there is no chromium here, which draws the page: apt install chromium-headless-shell" >&2
    exit 3
}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$folder/scenarios"
cp -r scenarios/kernel "$folder/scenarios/"
mmio=scenarios/kernel/dma_mapping_mmio.yaml
sed '0,/"iommufd\*": EFAULT/s//"iommufd*": EINVAL/' "$mmio" > "$folder/$mmio"
if cmp -s "$mmio" "$folder/$mmio"; then
    echo "picture.sh: $mmio has no outcome EFAULT on iommufd* to change" >&2
    exit 2
fi
program=$(realpath "$(command -v "${VFIOSPEC:-vfiospec}")")
out=$PWD/reports/report.png
cd "$folder"
"$program" lab run scenarios/kernel/dma_mapping.yaml "$mmio" --html report.html || [ $? = 1 ]
"$browser" --no-sandbox --hide-scrollbars --window-size=1000,960 --screenshot="$out" "file://$folder/report.html"
