//! The processors that kernels of our own are for.

/// Whether this processor has all that cpp/attention.cpp and cpp/layer_norm.cpp are compiled for.
pub(super) fn available() -> bool {
    std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("avx512bf16")
}
