//! A worker's load as a person reads it.

use super::load::Load;
use crate::console::Console;
use crate::runs::{align_right, plain_table};
use crate::text::{bytes, count, plain, rate};

/// Characters of a bar.
const BAR: usize = 20;

pub(super) fn text(load: &Load, console: Console) -> String {
    let status = &load.status;
    let mut lines = vec![
        format!(
            "{}  {}  {} on {}",
            plain(&status.worker),
            status.state().as_str_name(),
            plain(&status.model),
            plain(&status.devices.join(", "))
        ),
        format!(
            "rate    {}, {} in hand, limited by: {}",
            rate(load.rate),
            shards(status.shards.len()),
            plain(&load.limited_by)
        ),
    ];
    for (name, busy) in &load.devices {
        lines.push(format!("device  {} {} {}", bar(*busy), percent(*busy), plain(name)));
    }
    lines.push(format!(
        "bytes   {} in flight of {}",
        bytes(status.bytes_in_flight),
        bytes(status.bytes_limit)
    ));
    if status.engine_restarts > 0 {
        let death = plain(&status.last_engine_death);
        lines.push(format!(
            "engine  started anew {} times; last killed by {death}",
            count(status.engine_restarts)
        ));
    }
    let mut table = plain_table(console);
    table.set_header(["STAGE", "PLACES TAKEN", "", "PLACES", "NOW", "WAITING", "RATE", "DONE"]);
    for stage in &load.stages {
        table.add_row([
            plain(&stage.name),
            bar(stage.utilisation),
            percent(stage.utilisation),
            count(stage.places),
            count(stage.in_flight),
            count(stage.waiting),
            rate(stage.rate),
            count(stage.done),
        ]);
    }
    for column in 2..8 {
        align_right(&mut table, column);
    }
    lines.push(table.trim_fmt());
    lines.join("\n")
}

fn shards(number: usize) -> String {
    format!("{number} {}", if number == 1 { "shard" } else { "shards" })
}

/// A share of a bar's length, to the next character.
fn bar(share: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share between 0 and 1 of twenty characters"
    )]
    let full = ((share * BAR as f64).round() as usize).min(BAR);
    format!("{}{}", "█".repeat(full), "·".repeat(BAR - full))
}

fn percent(share: f64) -> String {
    format!("{:>3.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_proto::v1;
    use sightline_proto::v1::worker_status::{Device, Stage, State};

    #[test]
    fn a_worker_is_shown_with_its_devices_and_stages() {
        let status = v1::WorkerStatus {
            worker: "gpu-7".into(),
            model: "vit".into(),
            state: State::Serving.into(),
            devices: vec!["cuda:0".into()],
            engine_seconds: 10.0,
            device_load: vec![Device {
                name: "cuda:0".into(),
                busy_seconds: 5.0,
            }],
            stages: vec![Stage {
                name: "forward\x1b[2J".into(),
                places: 2,
                done: 12_345,
                busy_seconds: 20.0,
                ..Stage::default()
            }],
            bytes_in_flight: 3 << 20,
            bytes_limit: 256 << 20,
            ..v1::WorkerStatus::default()
        };
        let text = text(&Load::between(None, &status), Console::of_process(false));
        for part in [
            "gpu-7  SERVING  vit on cuda:0",
            "1,235/s",
            "██████████··········  50 % cuda:0",
            "3.0 MiB in flight of 256.0 MiB",
            "100 %",
            "12,345",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains('\x1b'), "a server cannot steer the terminal");
    }
}
