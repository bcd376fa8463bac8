//! nginx with a configuration of the test's own.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::peers;

/// A running nginx.
pub struct Nginx {
    child: Child,
    log: PathBuf,
}

/// A port that was free a moment ago: nginx cannot be asked which one it chose.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl Nginx {
    /// Starts it with these `server` blocks and waits until it listens on `port`; `None`, said on stdout, when it is absent. Each
    /// request is logged as `port method uri status verdict-on-certificate authorization`.
    pub fn start(directory: &Path, servers: &str, port: u16) -> Option<Self> {
        let program = peers::find("nginx")?;
        let log = directory.join("access.log");
        let user = if peers::is_root() { "user root;\n" } else { "" };
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/tmp-{kind};\n", directory.display()))
            .concat();
        let config = format!(
            "{user}daemon off;\nmaster_process off;\npid {0}/nginx.pid;\nerror_log {0}/error.log;\nevents {{}}\nhttp {{\n\
             {paths}client_max_body_size 0;\nlog_format seen '$server_port $request_method $request_uri $status \
             $ssl_client_verify \"$http_authorization\"';\naccess_log {0}/access.log seen;\n{servers}}}\n",
            directory.display()
        );
        let file = directory.join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(directory.join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut started = Self { child, log };
        let since = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let gone = started.child.try_wait().unwrap();
            let told = std::fs::read_to_string(directory.join("error.log")).unwrap_or_default();
            assert!(gone.is_none() && since.elapsed() < Duration::from_secs(30), "nginx: {told}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(started)
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<String> {
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
