//! Every implementation passes the suite: the embedded one, and Milvus as it runs.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "addresses of test servers come from the environment, and a test fails by panicking"
)]

use sightline_core::VectorField;
use sightline_index::conformance::Subject;
use sightline_index::{OpenOptions, conformance_suite, open};

async fn embedded(fields: &[VectorField]) -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}", folder.path().join("new/index.db").display());
    Subject {
        index: open(&address, &OpenOptions::default()).await.unwrap(),
        fields: fields.into(),
        aliases: true,
        line_breaks_in_filters: true,
        guard: Box::new(folder),
    }
}

async fn server(variable: &str, fields: &[VectorField]) -> Subject {
    let address = std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests with `make test`, or start the servers with `make up`")
    });
    Subject {
        index: open(&address, &OpenOptions::default()).await.unwrap(),
        fields: fields.into(),
        aliases: true,
        line_breaks_in_filters: true,
        guard: Box::new(()),
    }
}

async fn sqlite_two_fields() -> Subject {
    embedded(&VectorField::ALL).await
}

async fn sqlite_image_only() -> Subject {
    embedded(&[VectorField::Image]).await
}

async fn milvus_lite(fields: &[VectorField]) -> Subject {
    Subject {
        // Its grammar has no escape for them.
        aliases: false,
        line_breaks_in_filters: false,
        ..server("SIGHTLINE_TEST_MILVUS_LITE_URL", fields).await
    }
}

async fn milvus_lite_two_fields() -> Subject {
    milvus_lite(&VectorField::ALL).await
}

async fn milvus_lite_image_only() -> Subject {
    milvus_lite(&[VectorField::Image]).await
}

// The 2.3 line has one vector field a collection.
async fn milvus_image_only() -> Subject {
    server("SIGHTLINE_TEST_MILVUS_URL", &[VectorField::Image]).await
}

conformance_suite!(sqlite_two, sqlite_two_fields);
conformance_suite!(sqlite_one, sqlite_image_only);
conformance_suite!(milvus_lite_two, milvus_lite_two_fields);
conformance_suite!(milvus_lite_one, milvus_lite_image_only);
conformance_suite!(milvus_one, milvus_image_only);
