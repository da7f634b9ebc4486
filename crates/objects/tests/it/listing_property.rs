//! However keys lie in directories, pages give each once: over a server that keeps its keys in order and counts questions.

use proptest::prelude::{Strategy, prop};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use sightline_objects::{ListRequest, ObjectStore, S3Options, S3Store};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

type Keys = Arc<Mutex<BTreeSet<String>>>;

async fn serve(listener: TcpListener, keys: Keys) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, Arc::clone(&keys)));
    }
}

async fn connection(mut stream: TcpStream, keys: Keys) {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        while let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let request = String::from_utf8_lossy(&read[..end]).into_owned();
            read.drain(..end + 4);
            let path = request.split(' ').nth(1).unwrap_or_default();
            let body = answer(path, &keys.lock().unwrap());
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            if stream.write_all((head + &body).as_bytes()).await.is_err() {
                return;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => read.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
}

/// What S3 answers: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
fn answer(path: &str, keys: &BTreeSet<String>) -> String {
    let url = Url::parse(&format!("http://s3{path}")).unwrap();
    let asked: HashMap<_, _> = url.query_pairs().into_owned().collect();
    let of = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let (prefix, after, folds) = (of("prefix"), of("start-after"), of("delimiter") == "/");
    let most: usize = of("max-keys").parse().unwrap();
    let (mut body, mut count, mut folder, mut truncated) = (String::new(), 0, None, false);
    for key in keys
        .iter()
        .filter(|key| key.starts_with(prefix) && key.as_str() > after)
    {
        let below = key[prefix.len()..].find('/').filter(|_| folds);
        let folded = below.map(|slash| &key[..=prefix.len() + slash]);
        if folded.is_some() && folded == folder {
            continue;
        }
        if count == most {
            truncated = true;
            break;
        }
        count += 1;
        folder = folded;
        match folded {
            Some(folded) => write!(body, "<CommonPrefixes><Prefix>{folded}</Prefix></CommonPrefixes>"),
            None => write!(
                body,
                "<Contents><Key>{key}</Key><ETag>&#34;e&#34;</ETag><Size>1</Size></Contents>"
            ),
        }
        .unwrap();
    }
    format!(
        "<ListBucketResult><KeyCount>{count}</KeyCount><IsTruncated>{truncated}</IsTruncated>{body}</ListBucketResult>"
    )
}

/// Names that lie beside directories in the order of bytes, and directories of many sizes.
fn layouts() -> impl Strategy<Value = BTreeSet<String>> {
    let name = || prop::sample::select(vec!["a", "a-", "a.b", "a0", "a00", "ab", "b", "0", "-"]);
    let directory = (prop::collection::vec(name(), 0..3), 0_usize..40).prop_map(|(path, files)| {
        let folder: String = path.iter().map(|name| format!("{name}/")).collect();
        (0..files).map(|at| format!("{folder}{at:02}")).collect::<Vec<_>>()
    });
    let lone = prop::collection::vec(name(), 1..4).prop_map(|path| path.join("/"));
    let directories = prop::collection::vec(directory, 0..8);
    (directories, prop::collection::vec(lone, 0..10)).prop_map(|(directories, lone)| {
        let keys = directories.into_iter().flatten().chain(lone);
        keys.map(|key| format!("root/{key}")).collect()
    })
}

async fn listed(store: &S3Store, prefix: &str, limit: usize, hints: bool) -> Result<Vec<String>, TestCaseError> {
    let mut found = Vec::new();
    let mut request = ListRequest {
        limit,
        ..ListRequest::all(prefix)
    };
    loop {
        let page = store.list(&request).await.unwrap();
        proptest::prop_assert!(page.objects.len() <= limit);
        proptest::prop_assert!(page.next.is_none() || page.next > request.start_after, "no progress");
        found.extend(page.objects.into_iter().map(|object| object.key));
        request.start_after = page.next;
        if request.start_after.is_none() {
            return Ok(found);
        }
        if hints {
            request.hint = page.hint;
        }
    }
}

#[test]
fn pages_give_every_key_once_in_order_with_hints_and_without() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let keys = Keys::default();
    let store = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = S3Options {
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            path_style: true,
            region: Some("us-east-1".into()),
            ..S3Options::default()
        };
        tokio::spawn(serve(listener, Arc::clone(&keys)));
        S3Store::open("s3://bucket/root", &options).await.unwrap()
    });
    let mut runner = TestRunner::new(Config {
        cases: 200,
        ..Config::default()
    });
    let prefixes = prop::sample::select(vec!["", "", "a", "a/", "a/b/", "a0"]);
    let cases = (layouts(), prefixes, 1_usize..40);
    let outcome = runner.run(&cases, |(layout, prefix, limit)| {
        (*keys.lock().unwrap()).clone_from(&layout);
        let below = layout.iter().filter_map(|key| key.strip_prefix("root/"));
        let expected: Vec<_> = below.filter(|key| key.starts_with(prefix)).collect();
        for hints in [false, true] {
            let found = runtime.block_on(listed(&store, prefix, limit, hints))?;
            proptest::prop_assert_eq!(&found, &expected, "hints: {}", hints);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
