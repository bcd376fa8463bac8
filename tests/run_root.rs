//! Images of real programs out of a Debian root (`CORACLE_DEBIAN_ROOT`), made by the command line, do their job under
//! runc: as uid 65532, without any capability, on a root that cannot be written. `docs/programs.md` lists them.

mod support {
    pub mod cli;
    pub mod peers;
    pub mod programs;
    pub mod runc;
}

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::cli::Workbench;
use support::peers;
use support::programs::{aids, debian_root, image, named};
use support::runc::{Bundle, Runner, Setup, free_port};

/// Runs `check` when there are a root and a runner.
fn with_root(check: impl Fn(&Workbench, &Runner, &Path)) {
    let (Some(root), Some(runner)) = (debian_root(), Runner::find()) else { return };
    let bench = Workbench::new();
    check(&bench, &runner, &root);
}

fn packed<'a>(bench: &Workbench, runner: &'a Runner, root: &Path, name: &str) -> Bundle<'a> {
    image(bench, runner, named(name), Some(root)).unwrap()
}

/// A directory of the container's user.
fn directory_of_the_user(bench: &Workbench, name: &str) -> PathBuf {
    let path = bench.join(name);
    std::fs::create_dir_all(&path).unwrap();
    own(&path);
    path
}

/// Gives a tree to the container's user.
fn own(path: &Path) {
    assert!(Command::new("chown").args(["-R", "65532:65532"]).arg(path).status().unwrap().success());
}

/// `/etc/hosts`, which runtimes of containers provide.
fn hosts(bench: &Workbench) -> PathBuf {
    bench.file("hosts", "127.0.0.1 localhost server.test\n")
}

fn openssl(openssl: &Path, bench: &Workbench, words: &str) {
    let output = Command::new(openssl).args(words.split(' ')).current_dir(bench.path()).output().unwrap();
    assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A private CA in `ca.pem`, and a certificate for `server.test` in `server.pem` with its key in `server.key`.
fn certificates(peer: &Path, bench: &Workbench) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(peer, bench, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=private"));
    openssl(peer, bench, &format!("req {key} -keyout server.key -out server.csr -subj /CN=server.test"));
    bench.file("extensions", "subjectAltName=DNS:server.test\n");
    let sign = "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2";
    openssl(peer, bench, &format!("{sign} -extfile extensions -out server.pem"));
}

/// A process of this machine that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `openssl s_server`, which answers any request with a page about the connection.
fn https_server(peer: &Path, bench: &Workbench, port: u16) -> Server {
    let mut command = Command::new(peer);
    command.args(["s_server", "-www", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
    command.args(["-cert", "server.pem", "-key", "server.key"]).current_dir(bench.path());
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "openssl s_server does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    Server(child)
}

#[test]
fn curl_gets_a_page_over_https() {
    let Some(peer) = peers::find("openssl") else { return };
    with_root(|bench, runner, root| {
        certificates(&peer, bench);
        let port = free_port();
        let _server = https_server(&peer, bench, port);
        let hosts = hosts(bench);
        let url = format!("https://server.test:{port}/");
        let words = ["-sS", &url];
        let binds: &[(&Path, &str)] = &[(&hosts, "/etc/hosts")];
        let setup = Setup { words: &words, binds, host_network: true, ..Setup::default() };
        let page = packed(bench, runner, root, "curl").does(&setup);
        assert!(page.contains("s_server") && page.contains("TLSv1.3"), "{page}");
        // The same program with the authorities of the root does not know this one.
        let stranger = bench.join("stranger");
        std::fs::create_dir_all(&stranger).unwrap();
        let output = format!("oci:{}", bench.join("public").display());
        let flag = root.to_str().unwrap();
        let build = ["build", "root:/usr/bin/curl", "--root", flag, "--tag", "localhost/c:v1", "--output", &output];
        bench.run(build).succeeds();
        let refused = runner.unpack(&bench.join("public"), "v1", &stranger).run(&setup);
        assert_eq!(refused.code, 60, "{}", refused.stderr);
    });
}

fn get(port: u16) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn nginx_serves_a_page() {
    with_root(|bench, runner, root| {
        let port = free_port();
        aids(bench, port);
        let bundle = packed(bench, runner, root, "nginx");
        let place = bundle.rootfs().join("var/lib/nginx");
        assert!(place.is_dir(), "the place of the mount is not in the image");
        let words = &["-e", "stderr"];
        let tmpfs = &["/var/lib/nginx"];
        let mut server = bundle.start(&Setup { words, tmpfs, host_network: true, ..Setup::default() });
        server.listens(port);
        let answer = get(port);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n<h1>a page</h1>\n"), "{answer}");
    });
}

#[test]
fn redis_keeps_a_value() {
    with_root(|bench, runner, root| {
        let port = free_port().to_string();
        let bundle = packed(bench, runner, root, "redis-server");
        let words = &["--port", &port, "--bind", "127.0.0.1", "--save", ""];
        let mut server = bundle.start(&Setup { words, host_network: true, ..Setup::default() });
        server.listens(port.parse().unwrap());
        let client = packed(bench, runner, root, "redis-cli");
        let ask = |words: &[&str]| {
            let words = [&["-p", &port], words].concat();
            client.does(&Setup { words: &words, host_network: true, ..Setup::default() })
        };
        assert_eq!(ask(&["PING"]), "PONG\n");
        assert_eq!(ask(&["SET", "answer", "42"]), "OK\n");
        assert_eq!(ask(&["GET", "answer"]), "42\n");
    });
}

#[test]
fn sqlite_answers_a_query() {
    with_root(|bench, runner, root| {
        let data = directory_of_the_user(bench, "data");
        let bundle = packed(bench, runner, root, "sqlite3");
        let binds: &[(&Path, &str)] = &[(&data, "/data")];
        let ask = |query: &str| bundle.does(&Setup { words: &["/data/db", query], binds, ..Setup::default() });
        ask("create table t(n); insert into t values (6), (7)");
        assert_eq!(ask("select group_concat(n, '*'), max(n) * min(n) from t"), "6*7|42\n");
    });
}

const GIT: &[&str] = &[
    "HOME=/work",
    "GIT_AUTHOR_NAME=nobody",
    "GIT_AUTHOR_EMAIL=nobody@invalid",
    "GIT_COMMITTER_NAME=nobody",
    "GIT_COMMITTER_EMAIL=nobody@invalid",
];

#[test]
fn git_commits() {
    with_root(|bench, runner, root| {
        let work = directory_of_the_user(bench, "work");
        let bundle = packed(bench, runner, root, "git");
        let binds: &[(&Path, &str)] = &[(&work, "/work")];
        let git = |words: &[&str]| bundle.does(&Setup { words, binds, env: GIT, ..Setup::default() });
        git(&["init", "-q", "/work/repository"]);
        bench.file("work/repository/file", "content\n");
        git(&["-C", "/work/repository", "add", "file"]);
        git(&["-C", "/work/repository", "commit", "-q", "-m", "the first"]);
        let log = git(&["-C", "/work/repository", "log", "--stat", "--format=%an %s"]);
        assert_eq!(log, "nobody the first\n\n file | 1 +\n 1 file changed, 1 insertion(+)\n");
    });
}

#[test]
fn git_clones() {
    with_root(|bench, runner, root| {
        let work = directory_of_the_user(bench, "work");
        let bundle = packed(bench, runner, root, "git-clone");
        let binds: &[(&Path, &str)] = &[(&work, "/work")];
        let git = |words: &[&str]| bundle.does(&Setup { words, binds, env: GIT, ..Setup::default() });
        git(&["init", "-q", "/work/from"]);
        git(&["-C", "/work/from", "commit", "-q", "--allow-empty", "-m", "the first"]);
        git(&["clone", "-q", "file:///work/from", "/work/to"]);
        assert_eq!(git(&["-C", "/work/to", "log", "--format=%s"]), "the first\n");
        // Without the shell there is nothing that could start the other side.
        let without = packed(bench, runner, root, "git");
        let words = &["clone", "-q", "file:///work/from", "/work/again"];
        let refused = without.run(&Setup { words, binds, env: GIT, ..Setup::default() });
        assert_ne!(refused.code, 0);
    });
}

#[test]
fn python_imports_its_library() {
    with_root(|bench, runner, root| {
        let bundle = packed(bench, runner, root, "python3");
        let run = |code: &str| bundle.does(&Setup { words: &["-c", code], ..Setup::default() });
        assert_eq!(run("print('hello')"), "hello\n");
        let code = "import ssl, sqlite3, json, ctypes, socket, os, pwd\n\
            context = ssl.create_default_context()\n\
            query = sqlite3.connect(':memory:').execute('select 6 * 7').fetchone()\n\
            name = pwd.getpwuid(os.getuid()).pw_name\n\
            print(json.dumps([len(context.get_ca_certs()) > 50, query, name]))";
        assert_eq!(run(code), "[true, [42], \"nonroot\"]\n");
    });
}

#[test]
fn psql_asks_a_server() {
    const PLACE: &str = "/usr/lib/postgresql/15/bin";
    with_root(|bench, runner, root| {
        let data = directory_of_the_user(bench, "data");
        let client = packed(bench, runner, root, "psql");
        assert!(client.does(&Setup { words: &["--version"], ..Setup::default() }).starts_with("psql (PostgreSQL)"));
        let port = free_port().to_string();
        let words = &["-h", "127.0.0.1", "-p", &port, "-U", "nonroot", "-d", "postgres", "-Atc", "select 6 * 7"];
        let query = Setup { words, host_network: true, ..Setup::default() };
        let alone = client.run(&query);
        assert!(alone.code == 2 && alone.stderr.contains("Connection refused"), "{alone:?}");
        let bundle = packed(bench, runner, root, "postgres");
        let binds: &[(&Path, &str)] = &[(&data, "/data")];
        let base = Setup { binds, tmpfs: &["/dev/shm"], host_network: true, ..Setup::default() };
        let words = &["-D", "/data/db", "-A", "trust", "-U", "nonroot", "--no-sync", "--locale=C"];
        bundle.does(&Setup { words, ..base.clone() });
        let program = format!("{PLACE}/postgres");
        let words = &["-D", "/data/db", "-p", &port, "-h", "127.0.0.1", "-k", ""];
        let mut server = bundle.start(&Setup { words, program: Some(&program), ..base });
        server.listens(port.parse().unwrap());
        assert_eq!(client.does(&query), "42\n");
    });
}

/// Programs that are compiled here, on the library of this machine and on that of the root.
fn lookups(name: &str, says: &str) {
    let Some(runner) = Runner::find() else { return };
    let roots = [None, debian_root()];
    for root in roots.iter().filter(|root| root.is_none() || roots[1].is_some()) {
        let bench = Workbench::new();
        let Some(bundle) = image(&bench, &runner, named(name), root.as_deref()) else { return };
        let hosts = hosts(&bench);
        let binds: &[(&Path, &str)] = &[(&hosts, "/etc/hosts")];
        let env = &["GODEBUG=netdns=cgo"];
        let ran = bundle.does(&Setup { words: &["server.test"], binds, env, ..Setup::default() });
        assert_eq!(ran, says);
    }
}

#[test]
fn a_rust_program_looks_up_hosts_and_users() {
    lookups("rust", "host=Ok(\"127.0.0.1\") home=Some(\"/home/nonroot\") unwinds=true\n");
}

#[test]
fn a_cgo_program_looks_up_hosts_and_users() {
    lookups("cgo", "hosts=[127.0.0.1] user=nonroot home=/home/nonroot\n");
}
