//! Collections as the API describes them.

use crate::error::GatewayError;
use crate::gateway::Shared;
use crate::query::names::{of_alias, of_collection};
use crate::query::violations::Violations;
use crate::spaces::check_space;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::stream::{self, StreamExt};
use sightline_core::filter::{Comparison, Field, Filter, Literal};
use sightline_core::{CollectionDescription, CollectionName, IndexKind, VectorField};
use sightline_index::IndexError;
use sightline_proto::v1;
use std::collections::BTreeMap;

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 1000;
/// Collections that are counted at once.
const AT_ONCE: usize = 4;
/// Stands before the last name of a page in its token, so that another kind of token can come later.
const TOKEN_PREFIX: &str = "after:";

/// Describes one collection.
pub(crate) async fn get(shared: &Shared, name: &CollectionName) -> Result<v1::Collection, GatewayError> {
    let aliases = shared.index.aliases().await?;
    described(shared, name, &aliases).await
}

async fn described(
    shared: &Shared,
    name: &CollectionName,
    aliases: &BTreeMap<CollectionName, CollectionName>,
) -> Result<v1::Collection, GatewayError> {
    let description = shared.collection(name).await?;
    let name = &description.name;
    let loaded = shared.index.is_loaded(name).await?;
    let (rows, images, texts) = match loaded {
        true => counts(shared, name).await?,
        false => (0, 0, 0),
    };
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let here = aliases.iter().filter(|(_, behind)| *behind == name);
    Ok(v1::Collection {
        name: of_collection(name),
        row_count: count(rows),
        image_count: count(images),
        text_count: count(texts),
        fields: fields(shared, &description),
        index: index_kind(description.index),
        vector_bytes: count(vector_bytes(&description, images, texts)),
        aliases: here.map(|(alias, _)| of_alias(alias)).collect(),
        loaded,
    })
}

/// Rows, those with a picture's vector, those with a text's.
async fn counts(shared: &Shared, name: &CollectionName) -> Result<(u64, u64, u64), GatewayError> {
    let (with_image, with_text) = (having(VectorField::Image), having(VectorField::Text));
    Ok(tokio::try_join!(
        shared.index.count(name, None),
        shared.index.count(name, Some(&with_image)),
        shared.index.count(name, Some(&with_text)),
    )?)
}

/// Only rows that have a vector of this field.
pub(crate) fn having(field: VectorField) -> Filter {
    Filter::Compare {
        field: match field {
            VectorField::Image => Field::HasImage,
            VectorField::Text => Field::HasText,
        },
        op: Comparison::Equal,
        value: Literal::Bool(true),
    }
}

/// Bytes of the vectors that are there.
fn vector_bytes(description: &CollectionDescription, images: u64, texts: u64) -> u64 {
    let bytes = |field, rows: u64| {
        let dimension = description.fields.get(&field).map_or(0, |field| field.space.dimension);
        rows * u64::from(dimension) * 4
    };
    bytes(VectorField::Image, images) + bytes(VectorField::Text, texts)
}

/// The vector fields, and whether they are served here.
pub(crate) fn fields(shared: &Shared, description: &CollectionDescription) -> Vec<v1::collection::Field> {
    let all = VectorField::ALL.into_iter();
    all.filter_map(|of| field(shared, description, of)).collect()
}

fn field(shared: &Shared, description: &CollectionDescription, of: VectorField) -> Option<v1::collection::Field> {
    let described = description.fields.get(&of)?;
    let served = shared
        .encoder
        .as_ref()
        .is_some_and(|encoder| check_space(description, of, &encoder.description()).is_ok());
    Some(v1::collection::Field {
        field: of.to_string(),
        model: described.space.model.to_string(),
        fingerprint: described.fingerprint.to_string(),
        dimension: i32::try_from(described.space.dimension).unwrap_or(i32::MAX),
        served,
    })
}

/// As people who know Milvus write it.
pub(crate) fn index_kind(kind: IndexKind) -> String {
    match kind {
        IndexKind::Flat => "FLAT".into(),
        IndexKind::IvfFlat { nlist } => format!("IVF_FLAT nlist={nlist}"),
        IndexKind::IvfSq8 { nlist } => format!("IVF_SQ8 nlist={nlist}"),
        IndexKind::IvfPq { nlist, m } => format!("IVF_PQ nlist={nlist} m={m}"),
        IndexKind::Hnsw { m, ef_construction } => format!("HNSW M={m} efConstruction={ef_construction}"),
        IndexKind::Diskann => "DISKANN".into(),
    }
}

/// One page of collections.
pub(crate) async fn list(
    shared: &Shared,
    request: &v1::ListCollectionsRequest,
) -> Result<v1::ListCollectionsResponse, GatewayError> {
    let mut violations = Violations::default();
    let size = match usize::try_from(request.page_size) {
        Ok(0) => DEFAULT_PAGE,
        Ok(size) => size.min(MAX_PAGE),
        Err(_) => {
            violations.add("page_size", "is negative: give 0 for the default, or more");
            DEFAULT_PAGE
        }
    };
    let after = violations
        .take("page_token", read_token(&request.page_token))
        .unwrap_or_default();
    violations.check()?;
    let mut names = shared.index.list().await?;
    names.retain(|name| name.as_str() > after.as_str());
    names.sort_unstable();
    let more = names.len() > size;
    names.truncate(size);
    let next_page_token = names.last().filter(|_| more).map(token).unwrap_or_default();
    let aliases = shared.index.aliases().await?;
    let mut describing = Vec::with_capacity(names.len());
    for name in &names {
        describing.push(described(shared, name, &aliases));
    }
    let answers: Vec<_> = stream::iter(describing).buffered(AT_ONCE).collect().await;
    let mut collections = Vec::with_capacity(answers.len());
    for answer in answers {
        match answer {
            Ok(collection) => collections.push(collection),
            // Dropped since it was listed.
            Err(GatewayError::NoCollection(_) | GatewayError::Index(IndexError::NoCollection(_))) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(v1::ListCollectionsResponse {
        collections,
        next_page_token,
    })
}

fn token(last: &CollectionName) -> String {
    URL_SAFE_NO_PAD.encode(format!("{TOKEN_PREFIX}{last}"))
}

/// The name that a token goes on after.
fn read_token(token: &str) -> Result<String, &'static str> {
    const WRONG: &str = "is no token of ours: pass next_page_token of the page before, or nothing";
    if token.is_empty() {
        return Ok(String::new());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| WRONG)?;
    let text = String::from_utf8(bytes).map_err(|_| WRONG)?;
    Ok(text.strip_prefix(TOKEN_PREFIX).ok_or(WRONG)?.to_owned())
}
