//! The client, and certificates that name another host than its URL does.

use crate::program::Server;

/// As a Service of the chart is named.
const NAME: &str = "sightline-gateway.search.svc";

#[test]
fn a_server_behind_a_forwarded_port_is_trusted_by_the_name_in_its_certificate() {
    let (data, certificates) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    let write = |name: &str, pem: String| {
        let path = certificates.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cert = write("tls.crt", made.cert.pem());
    let key = write("tls.key", made.signing_key.serialize_pem());
    let (of_cert, of_key) = (format!("listen.tls_cert={cert}"), format!("listen.tls_key={key}"));
    let server = Server::start_with(data.path(), None, &["--set", &of_cert, "--set", &of_key]);

    let list = ["collections", "list", "--ca-cert", &cert];
    let by_address = server.run(&list);
    assert_ne!(by_address.code, 0, "{}", by_address.out);
    assert!(by_address.err.contains("certificate"), "{}", by_address.err);
    let by_name = server.run(&[&list[..], &["--tls-name", NAME]].concat());
    assert_eq!(by_name.code, 0, "{}", by_name.err);
}
