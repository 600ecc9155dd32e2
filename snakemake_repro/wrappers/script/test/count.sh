#!/usr/bin/env bash
set -euo pipefail
count=$(grep -c "^$1," "$REPRO_INPUT_data")
echo "counted $1"
echo "{\"primary\": \"$1\", \"count\": $count}" > "$REPRO_OUTPUT_counts"
echo "{\"count\": $count}" >> "$REPRO_METRICS"
cp "$REPRO_INPUT_data" "$REPRO_ARTIFACTS/counted.csv"
