//! The devices that one engine computes on: `model.devices`.

use crate::config::DeviceName;
use sightline_models::DeviceChoice;

/// Most devices of one engine.
const MOST: usize = 64;

/// Whether a model's device computes beside the processor, and so much faster that it must not wait for others.
pub(crate) fn is_accelerator(device: &str) -> bool {
    device.starts_with("cuda")
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
    fn what_is_no_device_is_named() {
        for (list, named) in [("0,gpu", "gpu"), ("0,,1", "\"\""), ("2,2", "twice")] {
            let error = Devices::parse(list, DeviceName::Auto).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
