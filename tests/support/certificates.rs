//! A private certificate authority, made with openssl.

use std::path::Path;
use std::process::Command;

use super::peers;

/// An authority in `ca.pem`, a certificate of it for 127.0.0.1 and localhost in `host.pem` with `host.key`, and one for a client
/// in `client.pem` with `client.key`. False, said on stdout, without openssl.
pub fn make(directory: &Path) -> bool {
    let Some(openssl) = peers::find("openssl") else { return false };
    let run = |words: &str| {
        let output = Command::new(&openssl).args(words.split(' ')).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    run(&format!("req -x509 {key} -subj /CN=authority -days 2 -keyout ca.key -out ca.pem"));
    std::fs::write(directory.join("host.ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    std::fs::write(directory.join("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
    for name in ["host", "client"] {
        run(&format!("req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        let sign = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2";
        run(&format!("x509 -req -in {name}.csr {sign} -extfile {name}.ext -out {name}.pem"));
    }
    true
}
