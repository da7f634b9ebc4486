//! What the driver says of a CUDA device, which tch does not pass on.

use std::ffi::{CStr, c_int, c_uint, c_void};

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` of cuda.h.
const CAPABILITY_MAJOR: c_int = 75;
const DRIVER: &CStr = c"libcuda.so.1";

type Init = unsafe extern "C" fn(c_uint) -> c_int;
type DeviceGet = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type DeviceGetAttribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;

/// The first number of a device's compute capability: 7 for Volta and Turing, 8 for Ampere and Ada, 9 for Hopper. The
/// numbers of devices are libtorch's. None where there is no driver, no such device, or no answer.
pub(crate) fn compute_capability(device: usize) -> Option<i32> {
    let ordinal = c_int::try_from(device).ok()?;
    let library = open(DRIVER)?;
    let (mut handle, mut major) = (0, 0);
    #[expect(
        unsafe_code,
        reason = "the types are those of cuda.h; the pointers are to live integers"
    )]
    unsafe {
        let init = std::mem::transmute::<*mut c_void, Init>(symbol(library, c"cuInit")?);
        let get = std::mem::transmute::<*mut c_void, DeviceGet>(symbol(library, c"cuDeviceGet")?);
        let attribute =
            std::mem::transmute::<*mut c_void, DeviceGetAttribute>(symbol(library, c"cuDeviceGetAttribute")?);
        let answered = init(0) == 0
            && get(&raw mut handle, ordinal) == 0
            && attribute(&raw mut major, CAPABILITY_MAJOR, handle) == 0;
        answered.then_some(major)
    }
}

/// The library, for the rest of the process: libtorch holds it, too.
fn open(name: &CStr) -> Option<*mut c_void> {
    #[expect(
        unsafe_code,
        reason = "the name ends with a zero; the driver's own initialisers run, as they do for libtorch"
    )]
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    (!library.is_null()).then_some(library)
}

fn symbol(library: *mut c_void, name: &CStr) -> Option<*mut c_void> {
    #[expect(unsafe_code, reason = "the library is open, and the name ends with a zero")]
    let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
    (!symbol.is_null()).then_some(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_has_no_capability() {
        assert_eq!(compute_capability(usize::MAX), None);
        assert_eq!(compute_capability(10_000), None);
        assert_eq!(open(c"libno-such-driver.so.1"), None);
    }
}
