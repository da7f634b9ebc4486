//! The methods that a server knows, from the descriptors of its protos.

use prost::Message;
use prost_types::FileDescriptorSet;
use std::collections::HashSet;

/// The full names of all methods, `sightline.v1.Search/Search`.
#[derive(Debug, Clone, Default)]
pub(super) struct Methods(HashSet<String>);

impl Methods {
    /// The methods of encoded descriptor sets.
    pub(super) fn of(descriptors: &[&[u8]]) -> Result<Self, prost::DecodeError> {
        let mut names = HashSet::new();
        for encoded in descriptors {
            for file in FileDescriptorSet::decode(*encoded)?.file {
                for service in &file.service {
                    for method in &service.method {
                        names.insert(format!("{}.{}/{}", file.package(), service.name(), method.name()));
                    }
                }
            }
        }
        Ok(Self(names))
    }

    /// Whether there is a method of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_the_descriptors_are_known_by_their_names_and_no_others() {
        let methods = Methods::of(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap();
        assert!(methods.knows("grpc.health.v1.Health/Watch"));
        for unknown in ["grpc.health.v1.Health/Made", "made.Up/Watch", "/", "", "Watch"] {
            assert!(!methods.knows(unknown), "{unknown}");
        }
    }
}
