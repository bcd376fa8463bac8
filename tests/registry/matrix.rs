//! Every request of a push and of a pull, met by every fault of the embedded registry's script, as the table of
//! `docs/faults.md` (`CORACLE_BLESS=1` writes it anew).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use coracle::net::{Environment, Options, Timeouts};
use coracle::oci::{Digest, RawManifest, Secret, media_type};
use coracle::registry::{Credential, CredentialChain, Fixed, Repository};
use coracle::serve::{FaultRule, FaultScript, SeenRequest, ServeOptions, Storage, Users};
use coracle::store::{Error, Pointer, Store};

use crate::registry_client::{Watch, reference, report};
use crate::sample::{Sample, sample};
use crate::serve::{ServerGuard, options, start};

/// The faults, by their words in a script; `{other}` is a second registry.
const FAULTS: [(&str, &str); 18] = [
    ("connection reset", "reset"),
    ("answer lost", "lost"),
    ("timeout", "hang"),
    ("429", "429"),
    ("429, Retry-After 0", "429:retry-after=0"),
    ("429, Retry-After an hour", "429:retry-after=3600"),
    ("500", "500"),
    ("502", "502"),
    ("503", "503"),
    ("401", "401"),
    ("body cut", "short:1"),
    ("wrong content", "corrupt"),
    ("Location absent", "location:absent"),
    ("Location relative", "location:relative"),
    ("Location elsewhere", "location:http://{other}"),
    ("redirects without end", "redirect-loop*"),
    ("header bomb", "header-bomb*"),
    ("body without end", "endless*"),
];

/// A registry with a user, and its script.
struct Bench {
    server: ServerGuard,
    other: ServerGuard,
    script: FaultScript,
    elsewhere: FaultScript,
    spool: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let (script, elsewhere) = (FaultScript::default(), FaultScript::default());
        let users = Some(Users::parse("user:secret-of-the-user\n").unwrap());
        let quick = |faults: &FaultScript, users| {
            let mut all = ServeOptions { users, faults: faults.clone(), ..options(Storage::Memory) };
            all.limits.grace = Duration::ZERO;
            start(all)
        };
        let (server, other) = (quick(&script, users), quick(&elsewhere, None));
        Self { server, other, script, elsewhere, spool: tempfile::tempdir().unwrap() }
    }

    /// A client that knows nothing yet.
    fn repository(&self) -> Repository {
        let password = Secret::new("secret-of-the-user".to_owned());
        let credential = Credential::Basic { username: "user".to_owned(), password };
        let host = self.server.addr().to_string();
        let fixed = Fixed::new(Some(&host), credential, "the test");
        let timeouts = Timeouts { idle: Duration::from_millis(250), ..Timeouts::default() };
        let options = Options { timeouts, ..Options::default() };
        let chain = CredentialChain::new(vec![Arc::new(fixed)]);
        let (client, _) = Watch::client_in(Environment::default(), options, chain, self.spool.path());
        client.repository(&reference(&host, "a")).unwrap()
    }

    fn fails(&self, number: usize, words: &str) {
        let words = words.replace("{other}", &self.other.addr().to_string());
        self.script.reset(vec![format!("{number}={words}").parse::<FaultRule>().unwrap()]);
        self.elsewhere.reset(Vec::new());
    }
}

/// An attachment of the sample's image.
pub fn referrer(sample: &Sample) -> RawManifest {
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": "application/vnd.example.note",
        "config": sample.blobs[2].descriptor(),
        "layers": [sample.blobs[0].descriptor()],
        "subject": { "mediaType": media_type::OCI_MANIFEST, "digest": sample.manifest.digest().to_string(),
            "size": sample.manifest.bytes().len() },
    });
    RawManifest::new(media_type::OCI_MANIFEST, serde_json::to_vec(&manifest).unwrap()).unwrap()
}

async fn push(to: &dyn Store, sample: &Sample, referrer: &RawManifest) -> Result<(), Error> {
    for blob in &sample.blobs {
        to.put_blob(blob).await?;
    }
    to.put_manifest(&sample.manifest).await?;
    to.put_manifest(referrer).await?;
    to.tag(&"v1".parse().unwrap(), &sample.manifest).await.map(drop)
}

async fn pull(from: &dyn Store, sample: &Sample) -> Result<(), Error> {
    let manifest = from.get_manifest(&Pointer::Tag("v1".parse().unwrap())).await?;
    assert_eq!(manifest, sample.manifest, "another manifest was taken for it");
    for blob in &sample.blobs {
        let got = from.get_blob(blob.descriptor()).await?;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut got.open(0).unwrap(), &mut bytes).unwrap();
        assert_eq!(Digest::of(&bytes), blob.descriptor().digest, "other content was taken for it");
    }
    from.referrers(sample.manifest.digest()).await.map(drop)
}

/// A tag that is there points to something whole; and no user is known elsewhere.
async fn check(bench: &Bench, sample: &Sample, what: &str) -> bool {
    let seen = bench.elsewhere.seen();
    assert!(seen.iter().all(|request| !request.authorized), "{what}: the credential went to a second host: {seen:?}");
    bench.script.reset(Vec::new());
    let repository = bench.repository();
    let tagged = repository.has_manifest(&Pointer::Tag("v1".parse().unwrap())).await.unwrap().is_some();
    if tagged {
        pull(&repository, sample).await.unwrap_or_else(|error| panic!("{what}: the tag is broken: {}", report(&error)));
    }
    tagged
}

/// What an error says, without what differs from run to run.
fn words(error: &Error, bench: &Bench) -> String {
    let mut text = report(error).replace('\n', "; ");
    for (server, name) in [(&bench.server, "registry"), (&bench.other, "elsewhere")] {
        text = text.replace(&server.addr().to_string(), name);
    }
    let mut out = String::new();
    for part in text.split_inclusive(['/', '`', ' ', '=', ':']) {
        let bare: String = part.chars().filter(char::is_ascii_hexdigit).collect();
        let is_id = bare.len() >= 32;
        out.push_str(if is_id { "…" } else { part });
        if is_id && part.ends_with('`') {
            out.push('`');
        }
    }
    out
}

/// A table: a column for each request of the operation, a row for each fault.
struct Table {
    columns: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
    errors: BTreeSet<String>,
}

impl Table {
    fn new(requests: &[SeenRequest]) -> Self {
        let column = |seen: &SeenRequest| {
            let path = seen.target.split('?').next().unwrap_or_default();
            let what = path.split('/').nth(3).unwrap_or("v2").trim_end_matches('s');
            let upload = if path.contains("/uploads/") { "upload" } else { what };
            format!("{} {upload}", seen.method)
        };
        Self { columns: requests.iter().map(column).collect(), rows: Vec::new(), errors: BTreeSet::new() }
    }

    fn error(&mut self, text: String) -> String {
        self.errors.insert(text);
        "error".to_owned()
    }

    /// The table, and what the errors say: which of two it is may be a matter of a moment, so they are shown, not compared.
    fn text(&self) -> [String; 2] {
        let mut out = format!("| Fault | {} |\n|---|{}\n", self.columns.join(" | "), "---|".repeat(self.columns.len()));
        for (fault, cells) in &self.rows {
            writeln!(out, "| {fault} | {} |", cells.join(" | ")).unwrap();
        }
        [out, self.errors.iter().map(|text| format!("- {text}\n")).collect()]
    }
}

async fn pushes() -> [String; 2] {
    let (clean, image) = (Bench::new(), sample(1, 50_000));
    let note = referrer(&image);
    push(&clean.repository(), &image, &note).await.unwrap();
    let requests = clean.script.seen();
    let mut table = Table::new(&requests);
    for (name, words_of_fault) in FAULTS {
        let mut cells = Vec::new();
        for number in 1..=requests.len() {
            let bench = Bench::new();
            bench.fails(number, words_of_fault);
            let outcome = push(&bench.repository(), &image, &note).await;
            let what = format!("{name} at request {number}");
            assert!(bench.script.seen().iter().any(|seen| seen.fault.is_some()), "{what} did not happen");
            let tagged = check(&bench, &image, &what).await;
            cells.push(match outcome {
                Ok(()) => {
                    assert!(tagged, "{what}: success without a tag");
                    "ok".to_owned()
                }
                Err(error) => table.error(words(&error, &bench)),
            });
            // Whatever happened, the next run completes.
            push(&bench.repository(), &image, &note).await.unwrap_or_else(|e| panic!("{what}: {}", report(&e)));
            assert!(check(&bench, &image, &what).await);
        }
        table.rows.push((name.to_owned(), cells));
    }
    table.text()
}

async fn pulls() -> [String; 2] {
    let (bench, image) = (Bench::new(), sample(1, 50_000));
    push(&bench.repository(), &image, &referrer(&image)).await.unwrap();
    bench.script.reset(Vec::new());
    pull(&bench.repository(), &image).await.unwrap();
    let requests = bench.script.seen();
    let mut table = Table::new(&requests);
    for (name, words_of_fault) in FAULTS.iter().filter(|(_, words)| !words.starts_with("location")) {
        let mut cells = Vec::new();
        for number in 1..=requests.len() {
            bench.fails(number, words_of_fault);
            let outcome = pull(&bench.repository(), &image).await;
            assert!(bench.script.seen().iter().any(|seen| seen.fault.is_some()), "{name} at {number} did not happen");
            cells.push(match outcome {
                Ok(()) => "ok".to_owned(),
                Err(error) => table.error(words(&error, &bench)),
            });
            let left = std::fs::read_dir(bench.spool.path()).unwrap().count();
            assert_eq!(left, 0, "{name} at {number} leaves a file behind");
        }
        table.rows.push(((*name).to_owned(), cells));
    }
    table.text()
}

#[tokio::test]
async fn every_fault_at_every_request() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut new = page.clone();
    for (section, [table, errors]) in [("push", pushes().await), ("pull", pulls().await)] {
        assert!(!errors.contains("secret-of-the-user"), "{errors}");
        for (section, text, compared) in
            [(section.to_owned(), table, true), (format!("errors of a {section}"), errors, false)]
        {
            let (begin, end) = (format!("<!-- {section} -->\n"), format!("<!-- end of {section} -->"));
            let start = new.find(&begin).unwrap() + begin.len();
            let stop = start + new[start..].find(&end).unwrap();
            let text = format!("\n{text}\n");
            if compared && std::env::var_os("CORACLE_BLESS").is_none() {
                assert_eq!(new[start..stop], text, "docs/faults.md does not tell what is true of a {section}");
            }
            new = format!("{}{text}{}", &new[..start], &new[stop..]);
        }
    }
    if std::env::var_os("CORACLE_BLESS").is_some() {
        std::fs::write(path, &new).unwrap();
    }
}
