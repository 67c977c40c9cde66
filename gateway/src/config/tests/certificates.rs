//! What is said of the certificate of the public listener, and where.

use super::*;

/// A certificate that vouches for itself, and its key.
fn made() -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let wanted = rcgen::CertificateParams::new(vec!["leads.shop.cn".to_owned()]);
    let certificate = wanted.and_then(|wanted| wanted.self_signed(&key));
    let certificate = certificate.expect("signs itself").pem();
    (certificate, key.serialize_pem())
}

fn with_tls() -> String {
    format!("[server]\ntls = {{ cert = \"tls/cert.pem\", key = \"tls/key.pem\" }}\n{GOOD}")
}

#[test]
fn files_are_read_beside_the_configuration_and_an_open_key_is_said() {
    let (cert, key) = made();
    let main = with_tls();
    let files = [
        ("leadgate.toml", &*main),
        ("tls/cert.pem", &*cert),
        ("tls/key.pem", &*key),
    ];
    let (config, report, folder) = load_files(&files);
    assert!(config.expect("good").server.tls.is_some());
    let codes: Vec<_> = report.diagnostics().iter().map(|one| one.code).collect();
    // Who runs the tests may have a umask that lets nobody else read.
    let open = resolve::others_may_read(&folder.path().join("tls/key.pem"));
    let said = ["config::open_secret_file"];
    assert_eq!(codes, said[..usize::from(open)]);
}

#[test]
fn what_is_wrong_is_said_at_the_file_it_is_about() {
    let ((cert, key), (_, other)) = (made(), made());
    let main = with_tls();
    let problem = |cert: Option<&str>, key: &str| {
        let mut files = vec![("leadgate.toml", &*main), ("tls/key.pem", key)];
        files.extend(cert.map(|cert| ("tls/cert.pem", cert)));
        let (config, report, _folder) = load_files(&files);
        assert!(config.is_none());
        let json = report.json(Lang::En);
        let problems = json["problems"].as_array().expect("a list").clone();
        let wrong = problems.into_iter().find(|one| one["severity"] == "error");
        let wrong = wrong.expect("an error");
        assert_eq!(wrong["code"], "config::certificate");
        assert_eq!(wrong["line"], 2);
        let text = |field: &str| wrong[field].as_str().expect("text").to_owned();
        (text("path"), text("message"))
    };
    let (path, message) = problem(Some(&cert), &other);
    assert_eq!(path, "server.tls.key");
    assert!(message.contains("not that of the certificate"), "{message}");
    let (path, message) = problem(Some(&key), &key);
    assert_eq!(path, "server.tls.cert");
    assert!(
        message.contains("a private key, not a certificate"),
        "{message}"
    );
    let (path, message) = problem(None, &key);
    assert_eq!(path, "server.tls.cert");
    assert!(message.contains("is not there"), "{message}");
}
