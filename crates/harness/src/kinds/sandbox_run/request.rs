//! What a request for a run asks for, checked whole before anything is done.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use domain::Sha256Hash;
use serde::{Deserialize, Serialize};

use super::ABOUT;
use crate::{
    kinds::{
        Caps, Input, Refusal, Request,
        params::{Params, shortened},
    },
    sandbox::Limits,
    snapshot::is_plain_path,
};

const MAX_WORDS: usize = 1_000;
/// The longest single word that Linux lets a program be started with.
const WORD_BYTES: usize = 128 << 10;
const SCRIPT_BYTES: usize = 1 << 20;
const STDIN_BYTES: usize = 1 << 20;
const MAX_RETURNS: usize = 64;
/// Where a script is put, beside the work's own files.
const SCRIPT: &str = ".pilothouse-script.sh";

/// A request, understood.
#[derive(Clone, Debug)]
pub struct Plan {
    pub argv: Vec<String>,
    pub files: Vec<InlineFile>,
    pub snapshot: Option<Snapshot>,
    pub env: Vec<(String, String)>,
    pub stdin: Vec<u8>,
    pub returns: Vec<String>,
    pub limits: Limits,
}

#[derive(Clone, Debug)]
pub struct InlineFile {
    pub path: String,
    pub bytes: Vec<u8>,
    pub executable: bool,
}

#[derive(Clone, Debug)]
pub struct Snapshot {
    pub sha256: Sha256Hash,
    pub len: u64,
    pub bytes: Option<Bytes>,
}

/// The JSON of an input that carries files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    files: Vec<FileText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    path: String,
    text: Option<String>,
    base64: Option<String>,
    #[serde(default)]
    executable: bool,
}

/// What identifies a run: the same for provider and buyer, whatever the limits' defaults.
#[derive(Serialize)]
struct Identity<'a> {
    argv: &'a [String],
    env: &'a [(String, String)],
    files: Vec<(&'a str, bool, Sha256Hash)>,
    returns: &'a [String],
    snapshot: Option<Sha256Hash>,
    stdin: Sha256Hash,
}

impl Plan {
    pub fn read(request: &Request, caps: &Caps) -> Result<Self, Refusal> {
        let params = Params::read(&ABOUT, &request.params)?;
        let (mut files, mut snapshot, mut scripts) = (Vec::new(), None, Vec::new());
        for input in &request.inputs {
            match input {
                Input::Blob { sha256, len, bytes, .. } => {
                    if *len > caps.snapshot.archive_bytes {
                        let most = caps.snapshot.archive_bytes;
                        let message =
                            format!("the snapshot has {len} bytes; at most {most} are taken");
                        return Err(Refusal::over_limit(message));
                    }
                    let blob = Snapshot { sha256: *sha256, len: *len, bytes: bytes.clone() };
                    if snapshot.replace(blob).is_some() {
                        return Err(Refusal::input("there can be one snapshot only"));
                    }
                }
                Input::Text(text) => match inline_files(text, caps)? {
                    Some(found) => files.extend(found),
                    None => scripts.push(text.as_str()),
                },
            }
        }
        scripts.extend(params.one("script"));
        let argv = command(params.one("argv"), &scripts, &mut files)?;
        refuse_doubles(&files)?;
        if params.one("network").is_some_and(|word| word.trim() != "none") {
            return Err(Refusal::param("work has no network here; network can only be none"));
        }
        let stdin = params.one("stdin").unwrap_or("").as_bytes().to_vec();
        if stdin.len() > STDIN_BYTES {
            return Err(Refusal::over_limit(format!("stdin has more than {STDIN_BYTES} bytes")));
        }
        let limits = limits(&params, caps)?;
        let (env, returns) = (environment(&params)?, returns(&params)?);
        Ok(Self { argv, files, snapshot, env, stdin, returns, limits })
    }

    pub fn input_bytes(&self) -> u64 {
        let inline: usize = self.files.iter().map(|file| file.bytes.len()).sum();
        self.snapshot.as_ref().map_or(0, |blob| blob.len) + inline as u64
    }

    /// The snapshot's bytes, which must be there by now.
    pub fn archive(&self) -> Result<Option<Bytes>, Refusal> {
        let missing = || Refusal::input("the snapshot is missing");
        let blob = self.snapshot.as_ref();
        blob.map(|blob| blob.bytes.clone().ok_or_else(missing)).transpose()
    }

    /// The command in a few words, for people.
    pub fn shown(&self) -> String {
        shortened(&self.argv.join(" "))
    }

    /// Hash of what was asked, so that a result cannot be passed off for another request's.
    pub fn sha256(&self) -> Sha256Hash {
        let hash = |bytes: &[u8]| Sha256Hash::of(bytes);
        let files = self.files.iter();
        let identity = Identity {
            argv: &self.argv,
            env: &self.env,
            files: files.map(|f| (f.path.as_str(), f.executable, hash(&f.bytes))).collect(),
            returns: &self.returns,
            snapshot: self.snapshot.as_ref().map(|blob| blob.sha256),
            stdin: hash(&self.stdin),
        };
        let json = domain::canonical_json(&identity).expect("BUG: there is no number in it");
        Sha256Hash::of(&json)
    }
}

/// The files of an input that is JSON with `files`; nothing where it is other text.
fn inline_files(text: &str, caps: &Caps) -> Result<Option<Vec<InlineFile>>, Refusal> {
    let is_files = text.trim_start().starts_with('{') && text.contains("\"files\"");
    if !is_files {
        return Ok(None);
    }
    let parsed: Files = serde_json::from_str(text)
        .map_err(|error| Refusal::input(format!("the inline files cannot be read: {error}")))?;
    if parsed.files.len() > caps.snapshot.entries as usize {
        return Err(Refusal::over_limit("there are too many inline files"));
    }
    let file = |file: FileText| {
        let shown = shortened(&file.path);
        if !is_plain_path(&file.path) {
            return Err(Refusal::input(format!(
                "{shown:?} is not a path below the work directory"
            )));
        }
        let bytes = match (file.text, file.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => STANDARD
                .decode(base64)
                .map_err(|_| Refusal::input(format!("the base64 of {shown:?} is damaged")))?,
            _ => return Err(Refusal::input(format!("{shown:?} needs one of text and base64"))),
        };
        Ok(InlineFile { path: file.path, bytes, executable: file.executable })
    };
    parsed.files.into_iter().map(file).collect::<Result<_, _>>().map(Some)
}

fn command(
    argv: Option<&str>,
    scripts: &[&str],
    files: &mut Vec<InlineFile>,
) -> Result<Vec<String>, Refusal> {
    match (argv, scripts) {
        (Some(json), []) => {
            let argv: Vec<String> = serde_json::from_str(json).map_err(|_| {
                Refusal::param("argv must be a JSON list of words, such as [\"ls\",\"-l\"]")
            })?;
            let fits = (1..=MAX_WORDS).contains(&argv.len()) && !argv[0].is_empty();
            let words_fit = argv.iter().all(|w| w.len() < WORD_BYTES && !w.contains('\0'));
            if fits && words_fit {
                Ok(argv)
            } else {
                Err(Refusal::param("argv is empty, too long, or has a zero byte"))
            }
        }
        (None, [script]) if !script.trim().is_empty() && script.len() <= SCRIPT_BYTES => {
            // A file, since a script may be longer than a word may be.
            let bytes = script.as_bytes().to_vec();
            files.push(InlineFile { path: SCRIPT.into(), bytes, executable: false });
            Ok(vec!["/bin/sh".into(), SCRIPT.into()])
        }
        (None, []) => {
            Err(Refusal::param("a command is needed: argv, script, or a script as input"))
        }
        (None, [_]) => Err(Refusal::param("the script is empty or too long")),
        _ => Err(Refusal::param("there is more than one command: give argv or one script")),
    }
}

fn refuse_doubles(files: &[InlineFile]) -> Result<(), Refusal> {
    let mut paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    paths.sort_unstable();
    match paths.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(Refusal::input(format!("the file {:?} is given twice", shortened(pair[0]))))
        }
        None => Ok(()),
    }
}

fn environment(params: &Params<'_>) -> Result<Vec<(String, String)>, Refusal> {
    let read = |text: &str| {
        let (name, value) = text.split_once('=')?;
        let name_fits = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let fits = name_fits && text.len() < WORD_BYTES && !value.contains('\0');
        fits.then(|| (name.to_owned(), value.to_owned()))
    };
    params
        .all("env")
        .map(|text| {
            let why = || Refusal::param(format!("env {:?} is not NAME=VALUE", shortened(text)));
            read(text).ok_or_else(why)
        })
        .collect()
}

fn returns(params: &Params<'_>) -> Result<Vec<String>, Refusal> {
    let mut paths: Vec<String> = params.all("return").map(str::to_owned).collect();
    if let Some(bad) = paths.iter().find(|path| !is_plain_path(path)) {
        let message = format!("return {:?} is not a path below the work directory", shortened(bad));
        return Err(Refusal::param(message));
    }
    if paths.len() > MAX_RETURNS {
        return Err(Refusal::over_limit(format!("at most {MAX_RETURNS} files are returned")));
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn limits(params: &Params<'_>, caps: &Caps) -> Result<Limits, Refusal> {
    const MIB: u64 = 1 << 20;
    let (usual, most) = (&caps.default_limits, &caps.max_limits);
    let secs = params.number("timeout_secs", usual.wall_ms / 1_000, most.wall_ms / 1_000)?;
    let memory = params.number("memory_mib", usual.memory_bytes / MIB, most.memory_bytes / MIB)?;
    let disk = params.number("disk_mib", usual.disk_bytes / MIB, most.disk_bytes / MIB)?;
    let processes = params.number("processes", usual.processes.into(), most.processes.into())?;
    Ok(Limits {
        wall_ms: secs * 1_000,
        cpu_secs: params.number("cpu_secs", usual.cpu_secs.max(secs), most.cpu_secs)?,
        memory_bytes: memory * MIB,
        processes: u32::try_from(processes).unwrap_or(u32::MAX),
        file_bytes: usual.file_bytes.min(disk * MIB),
        disk_bytes: disk * MIB,
        output_bytes: params.number("output_bytes", usual.output_bytes, most.output_bytes)?,
        ..*usual
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(inputs: &[&str], params: &[(&str, &str)]) -> Result<Plan, Refusal> {
        let inputs = inputs.iter().map(|text| Input::Text((*text).into())).collect();
        let params = params.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        Plan::read(&Request { inputs, params }, &Caps::default())
    }

    #[test]
    fn takes_a_command_as_words_as_a_script_or_as_the_only_text() {
        let plan = read(&[], &[("argv", r#"["ls","-l"]"#)]).unwrap();
        assert_eq!(plan.argv, ["ls", "-l"]);
        for plan in [read(&["echo hi"], &[]), read(&[], &[("script", "echo hi")])] {
            let plan = plan.unwrap();
            assert_eq!(
                (plan.argv[0].as_str(), &*plan.files[0].bytes),
                ("/bin/sh", &b"echo hi"[..])
            );
        }
        let files = r#"{"files":[{"path":"a/b","text":"x"},{"path":"c","base64":"AAE="}]}"#;
        let plan = read(&[files, "cat a/b"], &[]).unwrap();
        assert_eq!(plan.files[1].bytes, [0, 1]);
    }

    #[test]
    fn refuses_what_is_unclear_unsafe_or_too_much_before_any_work() {
        let ls = ("argv", r#"["ls"]"#);
        for (inputs, params) in [
            (vec![], vec![]),
            (vec![""], vec![]),
            (vec!["a", "b"], vec![]),
            (vec!["a"], vec![ls]),
            (vec![], vec![("argv", "ls")]),
            (vec![], vec![("argv", "[]")]),
            (vec![], vec![("argv", r#"["a\u0000b"]"#)]),
            (vec![], vec![ls, ("network", "host")]),
            (vec![], vec![ls, ("env", "=x")]),
            (vec![], vec![ls, ("env", "1=x")]),
            (vec![], vec![ls, ("return", "/etc/passwd")]),
            (vec![], vec![ls, ("return", "../x")]),
            (vec![], vec![ls, ("timeout-secs", "601")]),
            (vec![], vec![ls, ("memory_mib", "999999")]),
            (vec![r#"{"files":[{"path":"../x","text":""}]}"#], vec![ls]),
            (vec![r#"{"files":[{"path":"x"}]}"#], vec![ls]),
            (vec![r#"{"files":[{"path":"x","text":"","base64":""}]}"#], vec![ls]),
            (vec![r#"{"files":[{"path":"x","text":""},{"path":"x","text":""}]}"#], vec![ls]),
            (vec![r#"{"files":1}"#], vec![ls]),
        ] {
            assert!(read(&inputs, &params).is_err(), "{inputs:?} {params:?}");
        }
    }

    #[test]
    fn the_hash_of_a_request_tells_requests_apart() {
        let hash = |params: &[(&str, &str)]| read(&["x"], params).unwrap().sha256();
        assert_eq!(hash(&[]), hash(&[("timeout_secs", "5")]));
        assert_ne!(hash(&[]), hash(&[("env", "A=b")]));
        assert_ne!(hash(&[]), hash(&[("return", "a")]));
    }

    proptest! {
        #[test]
        fn no_input_makes_reading_panic(text in "\\PC{0,200}", json in "[{}\\[\\]\":,a-z0-9]{0,80}", value in "\\PC{0,20}") {
            let _ = read(&[&text], &[]);
            let _ = read(&[&format!("{{\"files\":{json}}}")], &[("argv", &json)]);
            for param in ABOUT.params {
                let _ = read(&["x"], &[(param.name, &value)]);
            }
        }
    }
}
