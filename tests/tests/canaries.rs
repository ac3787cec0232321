//! Nothing that a desk and its programs write holds a secret of the wallet: its words, its seed, its
//! passphrase, or what an app pays with. Everything they leave behind is searched for them.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use bip39::Mnemonic;
use scenarios::{
    desk::{Desk, text},
    programs::{Finished, desk_command, until},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use wallet::wire::{SERVICE, SHOW_SEED_CONFIRM, method};

const PASSPHRASE: &str = "canary-right-7f3e9b21 horse";
const NEXT: &str = "canary-next-51b6d0ce horse";
const WRONG: &str = "canary-wrong-2c8d40aa horse";

/// What must be nowhere.
struct Secrets {
    words: Vec<String>,
    /// Found as they are.
    bytes: Vec<(&'static str, Vec<u8>)>,
}

impl Secrets {
    fn new(words: &[String], app: &str) -> Self {
        let mnemonic = Mnemonic::parse(words.join(" ")).unwrap();
        let (seed, entropy) = (mnemonic.to_seed(""), mnemonic.to_entropy());
        let mut bytes = vec![
            ("the passphrase", PASSPHRASE.into()),
            ("the next passphrase", NEXT.into()),
            ("a wrong passphrase", WRONG.into()),
            ("the seed", seed.to_vec()),
            ("half of the seed", seed[..32].to_vec()),
            ("the entropy", entropy.clone()),
            ("an app's secret", app.into()),
        ];
        for (name, secret) in [("the seed in hex", &seed[..32]), ("the entropy in hex", &entropy)] {
            bytes.push((name, hex::encode(secret).into_bytes()));
            bytes.push((name, hex::encode_upper(secret).into_bytes()));
        }
        Self { words: words.to_vec(), bytes }
    }

    /// What of it is in `found`: any secret as it is, or any three of the words in their order,
    /// whatever stands between them.
    fn in_bytes(&self, found: &[u8]) -> Vec<&'static str> {
        let mut seen: Vec<_> = self
            .bytes
            .iter()
            .filter(|(_, secret)| found.windows(secret.len()).any(|part| part == &secret[..]))
            .map(|(name, _)| *name)
            .collect();
        let text = found.to_ascii_lowercase();
        let tokens: Vec<&[u8]> = text
            .split(|byte| !byte.is_ascii_lowercase())
            .filter(|token| !token.is_empty())
            .collect();
        let three = |at: &[String]| {
            tokens.windows(3).any(|run| run.iter().zip(at).all(|(a, b)| *a == b.as_bytes()))
        };
        if self.words.windows(3).any(three) {
            seen.push("three of the words");
        }
        seen
    }

    /// Every file below `dir` that holds one; and how many were looked at.
    fn in_files(&self, dir: &Path) -> (Vec<String>, usize) {
        let (mut seen, mut count) = (Vec::new(), 0);
        for path in files(dir) {
            let Ok(bytes) = fs::read(&path) else { continue };
            count += 1;
            let found = self.in_bytes(&bytes);
            seen.extend(found.iter().map(|what| format!("{}: {what}", path.display())));
        }
        (seen, count)
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                files(&entry.path())
            } else if kind.is_file() {
                vec![entry.path()]
            } else {
                Vec::new()
            }
        })
        .collect()
}

/// The search itself: a planted secret is found in every form that a program could leave it in.
fn the_search_finds_what_is_planted(secrets: &Secrets) {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    let words = &secrets.words;
    let mut plants: Vec<Vec<u8>> = vec![
        json!({ "words": words[4..7] }).to_string().into_bytes(),
        format!("x {} y", words[9..12].join("\n")).into_bytes(),
        words[..3].join(" ").to_uppercase().into_bytes(),
    ];
    for (_, secret) in &secrets.bytes {
        plants.push([&b"before\0"[..], secret, b"after"].concat());
    }
    for (at, plant) in plants.iter().enumerate() {
        let file = below.join(format!("plant-{at}"));
        fs::write(&file, plant).unwrap();
        assert!(!secrets.in_files(dir.path()).0.is_empty(), "plant {at} was not found");
        fs::remove_file(file).unwrap();
    }
    fs::write(below.join("clean"), [&words[0], &words[2], "canary"].map(|w| w.as_bytes()).concat())
        .unwrap();
    assert_eq!(secrets.in_files(dir.path()), (Vec::new(), 1));
}

/// One desk, everything that its commands printed, and what its processes were called with.
struct Watched {
    desk: Desk,
    printed: Vec<u8>,
    runtime: tokio::runtime::Runtime,
    /// Kept open: the desk ends with it.
    held: Vec<std::io::PipeWriter>,
}

impl Watched {
    fn command(&mut self, args: &[&str], lines: &[&str]) -> Finished {
        let mut command = desk_command().unwrap();
        command.args(["--json", "--home"]).arg(&self.desk.home).args(args);
        let (reader, mut writer) = std::io::pipe().unwrap();
        for line in lines {
            writeln!(writer, "{line}").unwrap();
        }
        drop(writer);
        command.stdin(Stdio::from(reader)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        self.note_process(child.id());
        let done = child.wait_with_output().unwrap();
        self.printed.extend([&done.stdout[..], &done.stderr].concat());
        Finished {
            status: done.status,
            stdout: String::from_utf8(done.stdout).unwrap(),
            stderr: String::from_utf8(done.stderr).unwrap(),
        }
    }

    fn ok(&mut self, args: &[&str], lines: &[&str]) -> Value {
        self.command(args, lines).ok().unwrap().json().unwrap()
    }

    /// The code of the refusal.
    fn refused(&mut self, args: &[&str], lines: &[&str]) -> String {
        let done = self.command(args, lines);
        assert!(!done.status.success(), "{}", done.stdout);
        text(&done.json().unwrap()["error"]["code"]).unwrap()
    }

    /// Keeps what anybody can read of a process while it runs.
    fn note_process(&mut self, pid: u32) {
        for name in ["cmdline", "environ"] {
            // Another user's, or one that hides itself: then nobody else reads it either.
            self.printed.extend(fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default());
            self.printed.push(b'\n');
        }
    }

    fn note_programs(&mut self) {
        let rendezvous = ["control.json", "wallet/executor.json", "practice/control.json"];
        for file in rendezvous {
            let bytes = fs::read(self.desk.home.join(file)).unwrap();
            let told: Value = serde_json::from_slice(&bytes).unwrap();
            self.note_process(u32::try_from(told["pid"].as_u64().unwrap()).unwrap());
        }
    }

    fn executor_pid(&self) -> u32 {
        let told = fs::read(self.desk.home.join("wallet/executor.json")).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        u32::try_from(told["pid"].as_u64().unwrap()).unwrap()
    }

    /// Straight to the executor; what it answers is not kept.
    fn executor(&self, method: &str, params: Value) -> Result<Value, String> {
        self.runtime.block_on(async {
            let dir = self.desk.home.join("wallet");
            let client = host::ipc::Client::connect(&dir, SERVICE).await.unwrap();
            client.call(method, params).await.map_err(|error| error.code.to_string())
        })
    }

    fn words(&self) -> Result<Vec<String>, String> {
        let asked = json!({ "confirm": SHOW_SEED_CONFIRM });
        let shown = self.executor(method::SHOW_SEED, asked)?;
        Ok(serde_json::from_value(shown["words"].clone()).unwrap())
    }

    /// Starts the desk; where a passphrase is given, on its standard input.
    fn start(&mut self, passphrase: Option<&str>, env: &[(&str, &str)]) {
        let mut command = desk_command().unwrap();
        command.args(["--json", "--home"]).arg(&self.desk.home).args(["up", "--headless"]);
        command.arg("--exit-with-parent").env("RUST_BACKTRACE", "full");
        let (reader, mut writer) = std::io::pipe().unwrap();
        if let Some(passphrase) = passphrase {
            command.args(["--wallet-passphrase-fd", "0"]);
            writeln!(writer, "{passphrase}").unwrap();
        }
        command.stdin(Stdio::from(reader)).envs(env.iter().copied());
        self.desk.start_as(&mut command).unwrap();
        self.held.push(writer);
    }

    fn stop(&mut self) {
        assert!(self.desk.stop().unwrap().success());
        self.held.clear();
        self.desk.at_rest().unwrap();
    }

    fn receives(&mut self) {
        let invoice = self.ok(&["wallet", "receive", "5000000", "--memo", "canary"], &[]);
        let before = self.desk.balance_msat().unwrap();
        self.ok(&["practice", "pay", &text(&invoice["request"]).unwrap()], &[]);
        self.desk.wait(&format!("balance>={}", before + 5_000_000), 30).unwrap();
    }

    fn pays(&mut self) {
        let invoice = self.ok(&["practice", "invoice", "2000000"], &[]);
        let paid = self.ok(&["wallet", "pay", &text(&invoice["bolt11"]).unwrap()], &[]);
        assert_eq!(paid["state"], "settled", "{paid}");
    }
}

/// Everything that only the operator may do is refused by name; the rest goes on.
fn locked(wallet: &mut Watched, words: &[String]) {
    assert_eq!(wallet.words().unwrap_err(), "locked");
    let code = wallet.refused(&["wallet", "limits", "--per-day-msat", "900000000000000"], &[]);
    assert_eq!(code, "locked");
    wallet.ok(&["wallet", "limits", "--per-day-msat", "900000000"], &[]);
    let account = ["wallet", "accounts", "set", "spender", "--budget-msat", "5000"];
    assert_eq!(wallet.refused(&account, &[]), "locked");
    let create = wallet.executor(method::CONNECTION_CREATE, json!({ "name": "app" }));
    assert_eq!(create.unwrap_err(), "locked");
    wallet.receives();
    wallet.pays();

    let unlock = ["wallet", "unlock", "--passphrase-fd", "0"];
    assert_eq!(wallet.refused(&unlock, &[WRONG]), "wrong_passphrase");
    let at_once = wallet.executor(method::UNLOCK, json!({ "passphrase": PASSPHRASE }));
    assert_eq!(at_once.unwrap_err(), "too_many_tries");
    assert_eq!(wallet.refused(&unlock, &[""]), "no_passphrase");
    let pasted = words.join(" ");
    for (method, params) in [
        (method::UNLOCK, json!({ "passphrase": { "in": PASSPHRASE } })),
        (method::UNLOCK, json!(PASSPHRASE)),
        (method::SET_PASSPHRASE, json!({ "passphrase": [WRONG], "new": 7 })),
        (method::QUOTE, json!({ "request": pasted })),
        (method::QUOTE, json!({ "request": PASSPHRASE })),
        (method::PAY, json!({ "key": pasted, "request": PASSPHRASE, "amount_msat": WRONG })),
        (pasted.as_str(), json!({})),
    ] {
        assert!(wallet.executor(method, params).is_err());
    }
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(wallet.ok(&unlock, &[PASSPHRASE])["locked"], false);
    assert_eq!(wallet.words().unwrap(), words);
}

#[test]
fn nothing_that_is_written_holds_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let desk = Desk::new(dir.path().join("home"));
    let mut wallet = Watched { desk, printed: Vec::new(), runtime, held: Vec::new() };
    wallet.start(None, &[]);
    wallet.desk.ready(false).unwrap();
    let info = wallet.ok(&["wallet", "info"], &[]);
    assert_eq!((&info["has_passphrase"], &info["locked"]), (&json!(false), &json!(false)));
    let fingerprint = text(&info["fingerprint"]).unwrap();
    assert_eq!(wallet.ok(&["wallet", "balance"], &[])["fingerprint"], fingerprint.as_str());
    let words = wallet.words().unwrap();
    wallet.receives();

    let set = ["wallet", "passphrase", "set", "--passphrase-fd", "0"];
    assert_eq!(wallet.ok(&set, &[PASSPHRASE])["kept_in"], "file_with_passphrase");
    let made = wallet.executor(method::CONNECTION_CREATE, json!({ "name": "canary" })).unwrap();
    let uri = text(&made["uri"]).unwrap();
    let app = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_eq!(wallet.ok(&["wallet", "lock"], &[])["locked"], true);
    locked(&mut wallet, &words);
    wallet.note_programs();
    let limits = fs::read_to_string(format!("/proc/{}/limits", wallet.executor_pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    wallet.stop();

    // A panic, with the passphrase in its hands: started again each time, told each time.
    let panic = [("PILOTHOUSE_WALLET_CRASH_AT", "3"), ("PILOTHOUSE_CRASH_HOW", "panic")];
    wallet.start(Some(PASSPHRASE), &panic);
    let output = wallet.desk.home.join("wallet/wallet.out");
    until("the executor panics", Duration::from_secs(60), || {
        Ok(fs::read_to_string(&output)?.matches("a fault was asked for").count() >= 2)
    })
    .unwrap();
    wallet.stop();

    // Nobody gives it: sealed until the operator does. The old log and the fingerprint are there.
    wallet.start(None, &[]);
    until("it waits sealed", Duration::from_secs(60), || {
        let info = wallet.command(&["wallet", "info"], &[]);
        Ok(info.status.success() && info.json()?["sealed"] == true)
    })
    .unwrap();
    let unlock = ["wallet", "unlock", "--passphrase-fd", "0"];
    assert_eq!(wallet.refused(&unlock, &[WRONG]), "wrong_passphrase");
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(wallet.ok(&unlock, &[PASSPHRASE])["sealed"], false);
    wallet.desk.ready(false).unwrap();
    assert_eq!(wallet.ok(&["wallet", "info"], &[])["fingerprint"], fingerprint.as_str());
    wallet.pays();
    let change = ["wallet", "passphrase", "change", "--passphrase-fd", "0"];
    wallet.ok(&change, &[PASSPHRASE, NEXT]);
    wallet.stop();

    let secrets = Secrets::new(&words, &app);
    the_search_finds_what_is_planted(&secrets);
    let (found, looked_at) = secrets.in_files(dir.path());
    assert_eq!(found, Vec::<String>::new());
    assert!(looked_at > 15, "only {looked_at} files were looked at");
    assert!(wallet.printed.len() > 4_000, "little was printed: {}", wallet.printed.len());
    assert_eq!(secrets.in_bytes(&wallet.printed), Vec::<&str>::new());
}
