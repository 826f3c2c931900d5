//! Which versions of driver, CUDA and libraries fit together.

/// For people. The driver minima are NVIDIA's (CUDA compatibility guide); the library pairs are what the builds name.
pub(super) const TEXT: &str = "\
Versions that fit together
  ONNX Runtime 1.20 to 1.31   processor: nothing else is needed
                              GPU build for CUDA 12: driver 525.60.13 or later, cuDNN 9
                              GPU build for CUDA 13: driver 580 or later, cuDNN 9
  libtorch 2.11 (tch 0.24)    video generation only; CUDA 13.0: driver 580 or later
";

/// The oldest driver for a major version of CUDA.
const DRIVERS: [(u32, [u32; 3]); 2] = [(12, [525, 60, 13]), (13, [580, 0, 0])];

/// The minor versions of ONNX Runtime 1 that our binding (API 20) was run with.
const ONNX_RUNTIME: std::ops::RangeInclusive<u32> = 20..=31;

/// The newest major version of CUDA whose libraries run on this driver.
pub(super) fn newest_cuda(driver: &str) -> Option<u32> {
    let have = numbers(driver);
    DRIVERS
        .iter()
        .rev()
        .find(|(_, least)| have.as_slice() >= least.as_slice())
        .map(|(cuda, _)| *cuda)
}

/// Whether our binding was run with this version of ONNX Runtime.
pub(super) fn fits_onnx_runtime(version: &str) -> bool {
    matches!(numbers(version)[..], [1, minor, ..] if ONNX_RUNTIME.contains(&minor))
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_runs_the_cuda_it_is_new_enough_for() {
        assert_eq!(newest_cuda("525.60.12"), None);
        assert_eq!(newest_cuda("525.60.13"), Some(12));
        assert_eq!(newest_cuda("570.172.08"), Some(12));
        assert_eq!(newest_cuda("580.65.06"), Some(13));
        assert_eq!(newest_cuda("unknown"), None);
    }

    #[test]
    fn onnx_runtime_outside_of_what_was_run_does_not_fit() {
        assert!(fits_onnx_runtime("1.31.1"));
        assert!(fits_onnx_runtime("1.20.0"));
        assert!(!fits_onnx_runtime("1.19.2"));
        assert!(!fits_onnx_runtime("2.20.0"));
    }
}
