//! Lists a prefix page by page with the SDK alone, and says how many objects there were and how long it took: what
//! `bench/plan` holds planning against.
//!
//!     AWS_ENDPOINT_URL=… list BUCKET PREFIX

use aws_config::BehaviorVersion;
use aws_sdk_s3::config::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::io::{Error, Write as _};
use std::time::Instant;

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(bucket), Some(prefix)) = (arguments.next(), arguments.next()) else {
        return Err(Error::other("usage: list BUCKET PREFIX"));
    };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(list(&bucket, &prefix))
}

async fn list(bucket: &str, prefix: &str) -> Result<(), Error> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .load()
        .await;
    let config = Builder::from(&shared).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let (started, mut objects, mut requests, mut token) = (Instant::now(), 0_usize, 0_usize, None);
    loop {
        let page = client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .set_continuation_token(token)
            .send()
            .await
            .map_err(Error::other)?;
        requests += 1;
        objects += page.contents().len();
        token = page.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    writeln!(
        std::io::stdout(),
        "{{\"objects\":{objects},\"requests\":{requests},\"seconds\":{seconds}}}"
    )
}
