//! How numbers are held while a model computes.

use crate::cuda::compute_capability;
use std::fmt;
use std::str::FromStr;
use tch::{Device, Kind};

/// From this compute capability on (Ampere), GPUs multiply bf16 natively; before, libtorch emulates it.
const BF16_CAPABILITY: i32 = 8;

/// How numbers are held while the model computes. Vectors are f32 in any case, and where they lie is the same space in
/// any precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// The fastest that the device computes natively: bf16 on GPUs and processors that have it, f16 on other GPUs, f32 on
    /// other processors.
    Auto,
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of f32: cosine to f32 about 0.9999.
    Bf16,
    /// 16 bits with a small range.
    F16,
}

impl Precision {
    /// What `Auto` means on a device; any other is itself.
    #[must_use]
    pub(crate) fn resolve(self, device: Device) -> Self {
        self.resolve_by(device, compute_capability)
    }

    /// The same, where `capability` tells the first number of a CUDA device's compute capability.
    fn resolve_by(self, device: Device, capability: impl FnOnce(usize) -> Option<i32>) -> Self {
        match (self, device) {
            (Self::Auto, Device::Cpu) if bf16_is_native() => Self::Bf16,
            (Self::Auto, Device::Cuda(number)) => match capability(number) {
                Some(major) if major < BF16_CAPABILITY => Self::F16,
                // A driver that does not tell is one that cuda.h of today does not describe: a new one.
                _ => Self::Bf16,
            },
            (Self::Auto, _) => Self::F32,
            (chosen, _) => chosen,
        }
    }

    /// What `Auto` means on this machine's processor.
    #[must_use]
    pub fn auto_on_cpu() -> Self {
        Self::Auto.resolve(Device::Cpu)
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Auto | Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
            Self::F16 => Kind::Half,
        }
    }
}

/// Whether the processor multiplies bf16 in its own instructions; without them bf16 is slower than f32.
#[cfg(target_arch = "x86_64")]
fn bf16_is_native() -> bool {
    std::is_x86_feature_detected!("avx512bf16")
}

#[cfg(target_arch = "aarch64")]
fn bf16_is_native() -> bool {
    std::arch::is_aarch64_feature_detected!("bf16")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn bf16_is_native() -> bool {
    false
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            other => Err(format!("{other:?} is no precision: give auto, f32, bf16 or f16")),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_reads_back_as_it_is_written() {
        for precision in [Precision::Auto, Precision::F32, Precision::Bf16, Precision::F16] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        assert!("fp8".parse::<Precision>().unwrap_err().contains("fp8"));
    }

    #[test]
    fn auto_is_resolved_and_a_choice_is_kept() {
        assert_ne!(Precision::auto_on_cpu(), Precision::Auto);
        assert_eq!(Precision::F16.resolve(Device::Cpu), Precision::F16);
    }

    #[test]
    fn auto_is_f16_on_gpus_that_do_not_compute_bf16_natively() {
        let on = |capability| Precision::Auto.resolve_by(Device::Cuda(1), |_| capability);
        // Pascal, Volta and Turing; Ampere, Hopper and Blackwell; a driver that does not tell.
        assert_eq!([Some(6), Some(7)].map(on), [Precision::F16; 2]);
        assert_eq!([Some(8), Some(9), Some(12), None].map(on), [Precision::Bf16; 4]);
        let mut asked = None;
        let _on = Precision::Auto.resolve_by(Device::Cuda(3), |number| {
            asked = Some(number);
            None
        });
        assert_eq!(asked, Some(3), "the device that computes is asked");
        let chosen = Precision::F32.resolve_by(Device::Cuda(0), |_| Some(7));
        assert_eq!(chosen, Precision::F32);
        let on_the_processor = Precision::Auto.resolve_by(Device::Cpu, |_| Some(7));
        assert_eq!(on_the_processor, Precision::auto_on_cpu());
    }
}
