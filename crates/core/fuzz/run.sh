#!/bin/bash
# usage: run.sh [SECONDS]: fuzzes the filter parser with libFuzzer, beginning with the committed corpus (600 s).
# It does what `cargo fuzz run --sanitizer none filter` does, whose flags are those of the stable compiler: our code there has
# no unsafe block that an address sanitizer could judge. What is found is kept in target/fuzz; `run.sh --keep` takes into
# the committed corpus what reaches code that nothing there reaches.
set -euo pipefail
cd "$(dirname "$0")"
repository=$(git rev-parse --show-toplevel)
export CARGO_TARGET_DIR=$repository/target/fuzz
export RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Clink-dead-code"
# Flags of a fuzzer are for the program alone, not for build scripts: those are told apart by --target.
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --target "$host" --bin filter
program=$CARGO_TARGET_DIR/$host/release/filter
found=$CARGO_TARGET_DIR/corpus; mkdir -p "$found" "$CARGO_TARGET_DIR/artifacts"
if [ "${1:-}" = --keep ]; then
  exec "$program" -merge=1 corpus/filter "$found"
fi
exec "$program" "$found" corpus/filter -dict=filter.dict -max_len=9000 -timeout=5 -rss_limit_mb=1024 \
  -max_total_time="${1:-600}" -artifact_prefix="$CARGO_TARGET_DIR/artifacts/" -print_final_stats=1
