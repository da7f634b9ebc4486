//! The devices that one engine computes on: `model.devices`.

use crate::config::DeviceName;
use sightline_core::WorkerReport;
use sightline_models::DeviceChoice;

/// Most devices of one engine.
const MOST: usize = 64;
/// Items of a shard, where a run does not say otherwise.
const SHARD_ITEMS: usize = 256;
/// Batches of a device that are in hand: one is computed, one is ready, one is filled, and what that is made of is decoded.
const BATCHES_IN_HAND: usize = 4;
/// Items in hand for an accelerator: what a fast one computes (4,000 a second) in the half second that a shard is in hand without
/// being computed. Half of that goes to looking up which rows there are, which Milvus answers with the ticks of its clock, the
/// rest to reading the shard's documents, the last write, the result and the next delivery. A processor computes a few items
/// in that time, and what it had in hand for nothing would be out of other workers' reach.
const ACCELERATOR_ITEMS: usize = 2048;
/// Most shards in hand.
const MAX_PREFETCH: u16 = WorkerReport::MOST_IN_HAND;

/// Whether a model's device computes beside the processor, and so much faster that it must not wait for others.
pub(crate) fn is_accelerator(device: &str) -> bool {
    device.starts_with("cuda")
}

/// Shards in hand that leave no device without work: one beside those that its batches come from.
pub(crate) fn prefetch_for(devices: &[String], batch_items: u32) -> u16 {
    let batches = usize::try_from(batch_items)
        .unwrap_or(usize::MAX)
        .saturating_mul(BATCHES_IN_HAND);
    let of_device = |device: &String| {
        if is_accelerator(device) {
            batches.max(ACCELERATOR_ITEMS)
        } else {
            batches
        }
    };
    let items = devices.iter().map(of_device).fold(0, usize::saturating_add);
    // A worker without a model has no device, and takes imports.
    let shards = items.max(batches).div_ceil(SHARD_ITEMS).saturating_add(1);
    u16::try_from(shards).unwrap_or(MAX_PREFETCH).min(MAX_PREFETCH)
}

/// Which devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Devices {
    /// Every CUDA device that is there; the processor where there is none.
    Every,
    /// These, in this order.
    These(Vec<DeviceChoice>),
}

impl Devices {
    /// Reads the list: `auto`, or numbers of CUDA devices (`0,1`) and `cpu`. An empty one is the one device.
    ///
    /// # Errors
    /// In words: what is no device.
    pub(crate) fn parse(list: &str, one: DeviceName) -> Result<Self, String> {
        let list = list.trim();
        match list {
            "" => {
                return Ok(Self::These(vec![match one {
                    DeviceName::Auto => DeviceChoice::Auto,
                    DeviceName::Cpu => DeviceChoice::Cpu,
                    DeviceName::Cuda => DeviceChoice::Cuda(0),
                }]));
            }
            "auto" => return Ok(Self::Every),
            _ => {}
        }
        let mut devices = Vec::new();
        for name in list.split(',').map(str::trim) {
            let device = match name.strip_prefix("cuda:").unwrap_or(name) {
                "cpu" => DeviceChoice::Cpu,
                number => DeviceChoice::Cuda(number.parse().map_err(|_| {
                    format!("{name:?} is no device: give auto, or a list such as 0,1 of CUDA devices' numbers")
                })?),
            };
            if matches!(device, DeviceChoice::Cuda(_)) && devices.contains(&device) {
                return Err(format!("{name:?} is there twice: one model on a device keeps it busy"));
            }
            devices.push(device);
        }
        if devices.len() > MOST {
            return Err(format!(
                "{} devices are more than the {MOST} of one worker",
                devices.len()
            ));
        }
        Ok(Self::These(devices))
    }

    /// The devices, where so many CUDA devices are there.
    pub(crate) fn on(&self, cuda_devices: usize) -> Vec<DeviceChoice> {
        match self {
            Self::These(devices) => devices.clone(),
            Self::Every if cuda_devices == 0 => vec![DeviceChoice::Cpu],
            Self::Every => (0..cuda_devices).map(DeviceChoice::Cuda).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_devices_in_order_and_none_is_the_one_device() {
        let read = |list| Devices::parse(list, DeviceName::Cpu).unwrap().on(2);
        assert_eq!(read(""), [DeviceChoice::Cpu]);
        assert_eq!(read("1, 0"), [DeviceChoice::Cuda(1), DeviceChoice::Cuda(0)]);
        assert_eq!(read("cuda:3"), [DeviceChoice::Cuda(3)]);
        assert_eq!(read("cpu,cpu"), [DeviceChoice::Cpu, DeviceChoice::Cpu]);
        assert_eq!(read("auto"), [DeviceChoice::Cuda(0), DeviceChoice::Cuda(1)]);
    }

    #[test]
    fn every_device_of_a_machine_without_cuda_is_its_processor() {
        let every = Devices::parse("auto", DeviceName::Auto).unwrap();
        assert_eq!(every.on(0), [DeviceChoice::Cpu]);
    }

    #[test]
    fn as_many_shards_are_in_hand_as_the_devices_need() {
        let shards = |device: &str, devices, batch| prefetch_for(&vec![device.to_owned(); devices], batch);
        let on_processors = [(1, 32), (0, 32), (1, 64), (1, 256), (8, 32), (8, 256), (64, 4096)];
        let on_processors = on_processors.map(|(devices, batch)| shards("cpu", devices, batch));
        assert_eq!(on_processors, [2, 2, 2, 5, 5, 33, 64]);
        let on_accelerators = [(1, 32), (1, 256), (1, 1024), (2, 32), (4, 64), (8, 32)];
        let on_accelerators = on_accelerators.map(|(devices, batch)| shards("cuda:0", devices, batch));
        assert_eq!(on_accelerators, [9, 9, 17, 17, 33, 64]);
        assert_eq!(prefetch_for(&["cpu".to_owned(), "cuda:0".to_owned()], 32), 10);
    }

    #[test]
    fn what_is_no_device_is_named() {
        for (list, named) in [("0,gpu", "gpu"), ("0,,1", "\"\""), ("2,2", "twice")] {
            let error = Devices::parse(list, DeviceName::Auto).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
