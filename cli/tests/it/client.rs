//! Arguments, exit codes, and a client without a server.

use crate::program::run;

#[test]
fn a_wrong_argument_is_wrong_usage() {
    for args in [
        &["serch"][..],
        &["search", "--collection", "c"],
        &["search", "--collection", "c", "--text", "t", "--top-k", "0"],
        &["ingest", "--root", "s3://b/p", "--model", "m"],
        &["search", "--collection", "c", "--text", "t", "--alpha", "0.5"],
        &["search", "--collection", "c", "--weight", "2"],
        &["search", "--collection", "c", "--text", "t", "--weight", "-1"],
        &[
            "ingest",
            "--root",
            "/no/such/folder",
            "--collection",
            "c",
            "--model",
            "m",
        ],
        &["search", "--collection", "c", "--image", "/no/such.png"],
        &["items", "get", "0123"],
    ] {
        let ran = run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{args:?}: {}", ran.out);
    }
}

#[test]
fn the_help_of_a_run_documents_its_exit_codes() {
    let ran = run(&["ingest", "--help"]);
    assert_eq!(ran.code, 0);
    let words = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = "3 the run ended and some items failed; 4 it failed or was cancelled";
    assert!(words.contains(told), "{words}");
}

#[test]
fn the_help_of_a_search_says_what_a_score_is() {
    let ran = run(&["search", "--help"]);
    assert!(ran.out.contains("score = Σ weight · cos / Σ |weight|"), "{}", ran.out);
}

#[test]
fn without_a_server_every_command_says_in_one_line_what_to_do() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{free}");
    for args in [
        &["runs", "list"][..],
        &["runs", "watch", "00"],
        &["search", "--collection", "c", "--text", "t"],
        &["worker", "status"],
        &["collections", "list", "--json"],
    ] {
        let ran = run(&[args, &["--server", &url]].concat());
        assert_eq!(ran.code, 1, "{args:?}");
        assert!(ran.out.is_empty(), "{}", ran.out);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        assert!(
            ran.err.contains(&url) && ran.err.contains("sightline standalone"),
            "{}",
            ran.err
        );
    }
}
