//! The methods that a server knows, from the descriptors of its protos.

use prost::Message;
use prost_types::FileDescriptorSet;
use std::collections::HashSet;

/// What stands for a method nobody knows: a caller must not be able to make new metrics.
const UNKNOWN: &str = "unknown";

/// The paths of all methods, `/sightline.v1.Search/Search`.
#[derive(Debug, Clone, Default)]
pub(super) struct Methods(HashSet<String>);

impl Methods {
    /// The methods of encoded descriptor sets.
    pub(super) fn of(descriptors: &[&[u8]]) -> Result<Self, prost::DecodeError> {
        let mut paths = HashSet::new();
        for encoded in descriptors {
            for file in FileDescriptorSet::decode(*encoded)?.file {
                for service in &file.service {
                    for method in &service.method {
                        paths.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                    }
                }
            }
        }
        Ok(Self(paths))
    }

    /// Service and method of a path.
    pub(super) fn split<'a>(&self, path: &'a str) -> (&'a str, &'a str) {
        if !self.0.contains(path) {
            return (UNKNOWN, UNKNOWN);
        }
        path.trim_start_matches('/')
            .split_once('/')
            .unwrap_or((UNKNOWN, UNKNOWN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_the_descriptors_are_known_by_their_names_and_no_others() {
        let methods = Methods::of(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap();
        assert_eq!(
            methods.split("/grpc.health.v1.Health/Watch"),
            ("grpc.health.v1.Health", "Watch")
        );
        for unknown in ["/grpc.health.v1.Health/Made", "/made.Up/Watch", "/", "", "Watch"] {
            assert_eq!(methods.split(unknown), (UNKNOWN, UNKNOWN), "{unknown}");
        }
    }
}
