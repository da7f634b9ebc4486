//! An index as a person names it.

use sightline_proto::v1;
use std::str::FromStr;

/// `IVF_FLAT,nlist=1024`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexArg {
    kind: String,
    nlist: Option<i32>,
    m: Option<i32>,
    ef_construction: Option<i32>,
}

impl IndexArg {
    /// As the API has it.
    pub(crate) fn to_api(&self) -> v1::IndexSpec {
        v1::IndexSpec {
            r#type: self.kind.clone(),
            nlist: self.nlist,
            m: self.m,
            ef_construction: self.ef_construction,
        }
    }
}

impl FromStr for IndexArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let mut index = Self {
            kind: parts.next().unwrap_or_default().to_ascii_uppercase(),
            nlist: None,
            m: None,
            ef_construction: None,
        };
        for part in parts {
            let wrong = || format!("{part:?} is none of nlist=N, m=N, ef_construction=N");
            let (name, number) = part.split_once('=').ok_or_else(wrong)?;
            let place = match name {
                "nlist" => &mut index.nlist,
                "m" => &mut index.m,
                "ef_construction" => &mut index.ef_construction,
                _ => return Err(wrong()),
            };
            // One of two numbers would be a mistake that nobody sees.
            if place.is_some() {
                return Err(format!("{name} is given twice: give it once"));
            }
            *place = number.parse::<i32>().ok().filter(|number| *number > 0);
            if place.is_none() {
                return Err(format!("{part:?}: N is a whole number from 1 to {}", i32::MAX));
            }
        }
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_a_kind_and_its_numbers() {
        let index: IndexArg = "hnsw, m=32, ef_construction=100".parse().unwrap();
        let api = index.to_api();
        assert_eq!(
            (api.r#type.as_str(), api.m, api.ef_construction, api.nlist),
            ("HNSW", Some(32), Some(100), None)
        );
        for wrong in [
            "IVF_FLAT,nlist",
            "IVF_FLAT,nlist=0",
            "IVF_FLAT,lists=3",
            "IVF_FLAT,nlist=-1",
        ] {
            assert!(wrong.parse::<IndexArg>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_that_is_none_and_one_that_is_given_twice_are_told_as_what_they_are() {
        let said = |text: &str| text.parse::<IndexArg>().unwrap_err();
        for zero in ["IVF_FLAT,nlist=0", "HNSW,m=0", "HNSW,m=99999999999"] {
            assert!(said(zero).contains("a whole number from 1"), "{zero}: {}", said(zero));
        }
        assert_eq!(said("HNSW,m=16,m=8"), "m is given twice: give it once");
        assert_eq!(said("HNSW,m=16,m=16"), "m is given twice: give it once");
        assert!(said("HNSW,links=3").contains("none of nlist=N"));
    }
}
