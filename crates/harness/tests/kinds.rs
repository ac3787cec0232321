//! The kinds of job, done for real in this machine's sandbox and checked as a buyer would.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use domain::Sha256Hash;
use harness::{
    kinds::{self, Context, ExecuteError, Input, Output, Request, Verdict},
    sandbox::{Sandbox, SandboxConfig},
    snapshot::{self, SnapshotLimits},
};
use serde_json::Value;
use std::{fs, time::Duration};

async fn context() -> Context {
    context_under(None).await
}

async fn context_under(only: Option<&str>) -> Context {
    let helper = Some(env!("CARGO_BIN_EXE_harness-helper").into());
    let only = only.map(str::to_owned);
    let sandbox = Sandbox::detect(SandboxConfig { helper, only, ..SandboxConfig::default() }).await;
    assert!(sandbox.probe().available, "{:?}", sandbox.probe());
    Context::new(sandbox)
}

fn request(inputs: Vec<Input>, params: &[(&str, &str)]) -> Request {
    let params = params.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Request { inputs, params }
}

fn blob(bytes: impl Into<Bytes>, media_type: &str) -> Input {
    let bytes = bytes.into();
    Input::Blob {
        sha256: Sha256Hash::of(&bytes),
        len: bytes.len() as u64,
        media_type: media_type.into(),
        bytes: Some(bytes),
    }
}

fn script(text: &str) -> Input {
    Input::Text(text.into())
}

fn project() -> snapshot::Packed {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("src")).unwrap();
    fs::write(dir.path().join("src/lib.rs"), "pub fn answer() -> u32 {\n    42\n}\n").unwrap();
    fs::write(dir.path().join("old.txt"), "old").unwrap();
    fs::write(dir.path().join("gone.txt"), "gone").unwrap();
    std::os::unix::fs::symlink("src/lib.rs", dir.path().join("link")).unwrap();
    snapshot::pack(dir.path(), &SnapshotLimits::default()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.payload).unwrap()
}

async fn done(context: &Context, kind: u16, request: &Request) -> Output {
    let kind = kinds::find(kind).unwrap();
    kind.validate(request, &context.caps).unwrap();
    let output = kind.execute(context, request).await.unwrap();
    let verdict = kind.verify(context, request, &output).await;
    assert!(verdict.holds(), "{verdict:?}");
    output
}

async fn fails(context: &Context, kind: u16, request: &Request, output: &Output) -> String {
    match kinds::find(kind).unwrap().verify(context, request, output).await {
        Verdict::Fails { why } => why,
        other => panic!("it was not caught: {other:?}"),
    }
}

/// The output with one value of its payload replaced.
fn tampered(output: &Output, pointer: &str, value: Value) -> Output {
    let mut payload = json(output);
    *payload.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    Output { payload: serde_json::to_vec(&payload).unwrap(), ..output.clone() }
}

#[tokio::test]
async fn a_run_over_a_snapshot_returns_output_code_changes_and_files() {
    let context = context().await;
    let packed = project();
    let work = "cat link; echo new > old.txt; rm gone.txt; mkdir out; head -c 10000 /dev/zero \
                > out/big; echo small > out/small; printf '\\377' >&2; exit 3";
    let request = request(
        vec![blob(packed.archive.clone(), snapshot::MEDIA_TYPE), script(work)],
        &[
            ("return", "out/big"),
            ("return", "out/small"),
            ("return", "nothing"),
            ("timeout-secs", "20"),
        ],
    );
    let output = done(&context, 5930, &request).await;
    let payload = json(&output);
    assert_eq!(payload["exit_code"], 3, "{payload:#}");
    assert!(payload["stdout"]["text"].as_str().unwrap().contains("pub fn answer"));
    assert_eq!(payload["stderr"]["base64"], "/w==");
    assert_eq!(payload["snapshot"]["root"], packed.manifest.root().to_string());
    let changes: Vec<_> = payload["changed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| format!("{} {}", c["change"].as_str().unwrap(), c["path"].as_str().unwrap()))
        .collect();
    let expected = ["deleted gone.txt", "modified old.txt", "created out/big", "created out/small"];
    assert_eq!(changes, expected);
    assert_eq!(output.attachments.len(), 1);
    assert_eq!(output.attachments[0].bytes.len(), 10_000);
    let returned = payload["returned"].as_array().unwrap();
    assert_eq!(returned[2]["content"]["text"], "small\n", "{payload:#}");
    assert!(returned[0]["missing"].is_string());
}

#[tokio::test]
async fn a_run_that_passes_a_limit_is_a_result_that_says_so() {
    let context = context().await;
    let late = request(vec![script("echo begun; sleep 60")], &[("timeout_secs", "1")]);
    let payload = json(&done(&context, 5930, &late).await);
    assert_eq!(payload["end"], "timed_out");
    assert_eq!(payload["stdout"]["text"], "begun\n");
    let hog = request(
        vec![],
        &[
            ("argv", r#"["python3","-c","x=bytearray(300<<20)\nimport time\ntime.sleep(9)"]"#),
            ("memory_mib", "200"),
        ],
    );
    let payload = json(&done(&context, 5930, &hog).await);
    assert_eq!((&payload["end"], &payload["limit"]), (&"over_limit".into(), &"memory".into()));
}

#[tokio::test]
async fn inline_files_lay_over_the_snapshot_and_never_write_through_a_link() {
    let context = context().await;
    let archive = || blob(project().archive, snapshot::MEDIA_TYPE);
    let files = |path: &str| {
        script(&format!(r#"{{"files":[{{"path":"{path}","text":"inline","executable":true}}]}}"#))
    };
    let cat = [("argv", r#"["cat","old.txt"]"#)];
    let over = request(vec![archive(), files("old.txt")], &cat);
    assert_eq!(json(&done(&context, 5930, &over).await)["stdout"]["text"], "inline");
    for path in ["link", "link/x", "src", "old.txt/x"] {
        let request = request(vec![archive(), files(path)], &cat);
        let refused = kinds::find(5930).unwrap().execute(&context, &request).await;
        assert!(matches!(refused, Err(ExecuteError::Refused(_))), "{path} {refused:?}");
    }
}

#[tokio::test]
async fn a_run_that_leaves_traps_for_the_reader_harms_nobody() {
    let context = context().await;
    let work = "ln -s /etc/shadow shadow; mkfifo pipe; mkdir locked; echo x > locked/f; \
                chmod 0 locked; ln -s / root; d=d; i=0; while [ $i -lt 200 ]; do mkdir $d; cd $d; \
                i=$((i+1)); done; touch \"$(printf 'bad\\nname')\"";
    let request = request(
        vec![script(work)],
        &[("return", "shadow"), ("return", "pipe"), ("return", "root/etc/passwd")],
    );
    let output = done(&context, 5930, &request).await;
    let payload = json(&output);
    for returned in payload["returned"].as_array().unwrap() {
        assert!(returned["missing"].is_string(), "{payload:#}");
    }
    assert!(output.attachments.is_empty());
    assert_eq!(payload["changed_truncated"], true);
}

#[tokio::test]
async fn a_run_that_replaces_its_work_directory_gets_nothing_from_outside() {
    let secret = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    let key = vec![b'k'; 6_000];
    fs::create_dir(secret.path().join(".ssh")).unwrap();
    fs::write(secret.path().join(".ssh/id_ed25519"), &key).unwrap();
    for only in ["bubblewrap", "landlock"] {
        let context = context_under(Some(only)).await;
        let work = format!(
            "mv $HOME/../work $HOME/../w2; ln -s {} $HOME/../work; echo done",
            secret.path().display()
        );
        let request = request(vec![script(&work)], &[("return", ".ssh/id_ed25519")]);
        let output = done(&context, 5930, &request).await;
        let payload = json(&output);
        assert_eq!(payload["stdout"]["text"], "done\n", "{payload:#}");
        assert!(output.attachments.is_empty(), "{payload:#}");
        assert!(payload["returned"][0]["missing"].is_string(), "{payload:#}");
        assert!(!payload["changed"].to_string().contains("id_ed25519"), "{payload:#}");
    }
}

#[tokio::test]
async fn a_buyer_catches_a_result_that_was_changed_or_answers_something_else() {
    let context = context().await;
    let packed = project();
    let archive = blob(packed.archive.clone(), snapshot::MEDIA_TYPE);
    let params = [("return", "out")];
    let asked = request(vec![archive.clone(), script("head -c 9000 /dev/zero > out")], &params);
    let output = done(&context, 5930, &asked).await;
    let zero = Value::from("00".repeat(32));
    for (pointer, value) in [
        ("/exit_code", 1.into()),
        ("/request_sha256", zero.clone()),
        ("/snapshot/root", zero.clone()),
        ("/snapshot/sha256", zero.clone()),
        ("/stdout/total_bytes", 5.into()),
        ("/changed/0/change", "modified".into()),
        ("/changed/0/path", "../x".into()),
        ("/changed/0/sha256", zero.clone()),
        ("/returned/0/sha256", zero),
        ("/returned/0/size", 1.into()),
        ("/returned/0/path", "other".into()),
    ] {
        fails(&context, 5930, &asked, &tampered(&output, pointer, value)).await;
    }
    fails(&context, 5930, &asked, &Output { attachments: vec![], ..output.clone() }).await;
    fails(&context, 5930, &asked, &Output { payload: b"{}".to_vec(), ..output.clone() }).await;
    let other = request(vec![archive, script("true")], &params);
    fails(&context, 5930, &other, &output).await;
}

#[tokio::test]
async fn a_buyer_fetches_only_what_was_asked_for_and_no_more_than_a_job_may_return() {
    let context = context().await;
    let attached = |number: u16, request: &Request, output: &Output| {
        kinds::find(number).unwrap().attached(request, &context.caps, &output.payload)
    };
    let work = script("head -c 9000 /dev/zero > a; head -c 9001 /dev/zero > b");
    let asked = request(vec![work], &[("return", "a"), ("return", "b")]);
    let output = done(&context, 5930, &asked).await;
    let sizes: Vec<_> = attached(5930, &asked, &output).unwrap();
    assert_eq!(sizes.iter().map(|named| named.size_bytes).collect::<Vec<_>>(), [9_000, 9_001]);
    let room = context.caps.return_bytes;
    for (pointer, value) in [
        ("/returned/0/path", Value::from("c")),
        ("/returned/1/path", "a".into()),
        ("/returned/0/size", room.into()),
        ("/returned/0/size", u64::MAX.into()),
    ] {
        let changed = tampered(&output, pointer, value);
        assert!(attached(5930, &asked, &changed).is_err(), "{pointer}");
    }
    let mut many = json(&output);
    let one = many["returned"][0].clone();
    many["returned"].as_array_mut().unwrap().extend(vec![one; 1_000]);
    let many = Output { payload: many.to_string().into_bytes(), ..output };
    assert!(attached(5930, &asked, &many).is_err());
    let asked = request(vec![blob(project().archive, snapshot::MEDIA_TYPE)], &[]);
    let output = done(&context, 5931, &asked).await;
    assert_eq!(attached(5931, &asked, &output).unwrap().len(), 1);
    let changed = tampered(&output, "/index/size", (1_u64 << 30).into());
    assert!(attached(5931, &asked, &changed).is_err());
    let garbage = Output { payload: b"garbage".to_vec(), ..output };
    assert_eq!(attached(5931, &asked, &garbage), Ok(vec![]));
}

#[tokio::test]
async fn a_job_is_cancelled_while_it_runs_and_tells_how_far_it_came() {
    let mut context = context().await;
    let (progress, mut lines) = tokio::sync::mpsc::channel(8);
    context.progress = Some(progress);
    let request = request(vec![script("sleep 60")], &[]);
    let cancel = context.cancel.clone();
    let (result, ()) =
        tokio::join!(kinds::find(5930).unwrap().execute(&context, &request), async {
            while !lines.recv().await.unwrap().starts_with("running") {}
            tokio::time::sleep(Duration::from_millis(100)).await;
            cancel.cancel();
        });
    assert!(matches!(result, Err(ExecuteError::Cancelled)), "{result:?}");
}

#[tokio::test]
async fn a_hostile_snapshot_is_refused_by_both_kinds_that_take_one() {
    let context = context().await;
    for bytes in [&b"garbage"[..], b"", &[0x1f, 0x8b, 8, 0]] {
        for (kind, inputs) in [
            (5930, vec![blob(bytes.to_vec(), ""), script("true")]),
            (5931, vec![blob(bytes.to_vec(), "")]),
        ] {
            let refused = kinds::find(kind).unwrap().execute(&context, &request(inputs, &[])).await;
            let empty = kind == 5930 && bytes.is_empty();
            assert!(refused.is_err() || empty, "{kind} {bytes:?} {refused:?}");
        }
    }
}

#[tokio::test]
async fn an_index_of_a_real_repository_is_the_same_each_time_and_holds() {
    let context = context().await;
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let packed = snapshot::pack(source, &SnapshotLimits::default()).unwrap();
    let request = request(vec![blob(packed.archive.clone(), snapshot::MEDIA_TYPE)], &[]);
    let output = done(&context, 5931, &request).await;
    let again = done(&context, 5931, &request).await;
    assert_eq!((&output.payload, &output.attachments), (&again.payload, &again.attachments));
    let payload = json(&output);
    assert_eq!(payload["snapshot"]["files"], packed.manifest.files().count());
    let rust = &payload["languages"].as_array().unwrap().iter().find(|l| l["name"] == "Rust");
    assert!(rust.unwrap()["symbols"].as_u64().unwrap() > 100, "{payload:#}");
    let index: Value = serde_json::from_slice(&output.attachments[0].bytes).unwrap();
    assert!(index["words"]["CancellationToken"]["count"].as_u64().unwrap() > 3);
}

#[tokio::test]
async fn a_buyer_catches_an_index_that_was_changed() {
    let context = context().await;
    let packed = project();
    let request = request(vec![blob(packed.archive, snapshot::MEDIA_TYPE)], &[]);
    let output = done(&context, 5931, &request).await;
    for (pointer, value) in [
        ("/lines", 999.into()),
        ("/snapshot/files", 1.into()),
        ("/snapshot/root", "00".repeat(32).into()),
        ("/index/sha256", "00".repeat(32).into()),
        ("/languages/0/files", 9.into()),
        ("/truncated", true.into()),
    ] {
        fails(&context, 5931, &request, &tampered(&output, pointer, value)).await;
    }
    let mut index: Value = serde_json::from_slice(&output.attachments[0].bytes).unwrap();
    for (pointer, value) in [
        ("/files/0/sha256", Value::from("00".repeat(32))),
        ("/files/0/lines", 7.into()),
        ("/words/answer/at/0/1", 3.into()),
        ("/words/answer/at/0/0", 99.into()),
    ] {
        let right = std::mem::replace(index.pointer_mut(pointer).unwrap(), value);
        let bytes = domain::canonical_json(&index).unwrap();
        let attachment = kinds::Attachment::new("index.json", "application/json", bytes);
        let mut changed = tampered(&output, "/index/sha256", attachment.sha256.to_string().into());
        changed = tampered(&changed, "/index/size", attachment.bytes.len().into());
        changed.attachments = vec![attachment];
        fails(&context, 5931, &request, &changed).await;
        *index.pointer_mut(pointer).unwrap() = right;
    }
}

/// A PDF of one page with one line of text.
fn pdf(text: &str) -> Vec<u8> {
    let stream = format!("BT /F1 24 Tf 72 700 Td ({text}) Tj ET");
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>".to_owned(),
        format!("<</Length {}>>stream\n{stream}\nendstream", stream.len()),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>".to_owned(),
    ];
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        out.extend(format!("{} 0 obj{object}endobj\n", number + 1).into_bytes());
    }
    let xref = out.len();
    out.extend(b"xref\n0 6\n0000000000 65535 f \n");
    for offset in offsets {
        out.extend(format!("{offset:010} 00000 n \n").into_bytes());
    }
    out.extend(format!("trailer<</Size 6/Root 1 0 R>>\nstartxref\n{xref}\n%%EOF").into_bytes());
    out
}

#[tokio::test]
async fn text_comes_out_of_every_format_and_is_extracted_again_by_the_buyer() {
    let context = context().await;
    let html =
        "<html><body><h1>Pilothouse</h1><script>no()</script><p>Words here</p></body></html>";
    for (input, method) in [
        (blob(pdf("Pilothouse Words here"), "application/pdf"), "pdf-extract"),
        (blob(pdf("Pilothouse Words here"), "application/octet-stream"), "pdf-extract"),
        (blob(html, "text/html; charset=utf-8"), "html2text"),
        (blob("# Pilothouse\n\nWords *here*", "text/markdown"), "pulldown-cmark"),
        (script("Pilothouse: Words here"), "encoding_rs"),
    ] {
        let request = request(vec![input], &[]);
        let output = done(&context, 5000, &request).await;
        let payload = json(&output);
        let text = payload["text"].as_str().unwrap();
        assert!(text.contains("Pilothouse") && text.contains("Words here"), "{payload:#}");
        assert!(payload["method"].as_str().unwrap().starts_with(method));
        for (pointer, value) in [
            ("/text", Value::from("other")),
            ("/text_bytes", 1.into()),
            ("/input/sha256", "00".repeat(32).into()),
            ("/input/media_type", "image/png".into()),
            ("/truncated", true.into()),
        ] {
            fails(&context, 5000, &request, &tampered(&output, pointer, value)).await;
        }
    }
    let cut = request(vec![script("0123456789")], &[("max-bytes", "4")]);
    let payload = json(&done(&context, 5000, &cut).await);
    assert_eq!((&payload["text"], &payload["truncated"]), (&"0123".into(), &true.into()));
}

#[tokio::test]
async fn a_hostile_document_ends_its_own_process_and_nothing_else() {
    let context = context().await;
    let kind = kinds::find(5000).unwrap();
    let good = pdf("x");
    let mut hostile = vec![b"%PDF-1.4\ngarbage".to_vec(), b"%PDF".to_vec(), vec![]];
    // Damage a good one in many places.
    for at in (0..good.len()).step_by(19) {
        let mut bad = good.clone();
        bad[at] = bad[at].wrapping_add(7);
        hostile.push(bad);
    }
    hostile.push(format!("{}{}", "<div>".repeat(3_000), "x").into_bytes());
    for (number, bytes) in hostile.into_iter().enumerate() {
        let media_type = if bytes.starts_with(b"<div") { "text/html" } else { "application/pdf" };
        let request = request(vec![blob(bytes, media_type)], &[]);
        match kind.execute(&context, &request).await {
            Ok(output) => assert!(kind.verify(&context, &request, &output).await.holds()),
            Err(ExecuteError::Failed { why }) => assert!(!why.is_empty(), "{number}"),
            Err(other) => panic!("{number}: {other:?}"),
        }
    }
}
