//! Where a model computes.

use crate::error::ModelError;
use std::fmt;
use std::str::FromStr;
use tch::{Cuda, Device};

/// Which device to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device, where there is one; else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A CUDA device by its number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("{other:?} is no device: give auto, cpu or cuda:N")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// How many CUDA devices libtorch sees.
#[must_use]
pub fn cuda_devices() -> usize {
    if Cuda::is_available() {
        usize::try_from(Cuda::device_count()).unwrap_or(0)
    } else {
        0
    }
}

impl DeviceChoice {
    pub(crate) fn resolve(self) -> Result<Device, ModelError> {
        let there = cuda_devices();
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto if there == 0 => Ok(Device::Cpu),
            Self::Auto => Ok(Device::Cuda(0)),
            Self::Cuda(number) if number < there => Ok(Device::Cuda(number)),
            Self::Cuda(_) => Err(ModelError::Device {
                wanted: self.to_string(),
                found: match there {
                    0 => "this libtorch sees no CUDA device".to_owned(),
                    count => format!("there are {count} CUDA devices"),
                },
            }),
        }
    }
}

/// As people read it: `cpu`, `cuda:0`.
pub(crate) fn name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        Device::Cpu => "cpu".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_reads_back_as_it_is_written() {
        for device in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(3)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for bad in ["", "gpu", "cuda:", "cuda:x"] {
            assert!(bad.parse::<DeviceChoice>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let error = DeviceChoice::Cuda(99).resolve().unwrap_err().to_string();
        assert!(error.contains("cuda:99"), "{error}");
    }
}
