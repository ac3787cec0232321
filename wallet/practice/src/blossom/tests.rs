//! The blob server from outside, over plain HTTP.

use super::*;
use base64::{Engine, prelude::BASE64_STANDARD};
use nostr::{
    event::{EventBuilder, FinalizeEvent, Kind, Tag},
    key::{Keys, SecretKey},
    types::Timestamp,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn start(dir: &TempDir, config: BlossomConfig) -> Blossom {
    let listener = http::listen(0).await.unwrap();
    Blossom::start(listener, &dir.path().join("blobs"), config).await.unwrap()
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn ask(server: &Blossom, request_line: &str, headers: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).await.unwrap();
    let head = format!("{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server that refuses early may close before everything is sent.
    let _may_be_refused = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _reset_after_answer = stream.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
    let status = head[9..12].parse().unwrap();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

fn keys(byte: u8) -> Keys {
    Keys::new(SecretKey::from_slice(&[byte; 32]).unwrap())
}

fn signed(by: u8, verb: &str, hash: &str) -> String {
    let until = (host::clock::now().as_secs() + 60).to_string();
    let tags = [["t", verb], ["x", hash], ["expiration", &until]];
    let event = EventBuilder::new(Kind::from_u16(24_242), "Upload")
        .tags(tags.map(|tag| Tag::parse(tag).unwrap()))
        .custom_created_at(Timestamp::from_secs(host::clock::now().as_secs()))
        .finalize(&keys(by))
        .unwrap();
    format!("Authorization: Nostr {}\r\n", BASE64_STANDARD.encode(event.as_json()))
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

async fn upload(server: &Blossom, by: u8, bytes: &[u8]) -> Answer {
    let auth = signed(by, "upload", &hash(bytes));
    let headers = format!("{auth}Content-Type: text/plain\r\nContent-Length: {}\r\n", bytes.len());
    ask(server, "PUT /upload", &headers, bytes).await
}

#[tokio::test]
async fn what_is_uploaded_comes_back_whole_in_parts_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir, BlossomConfig::default()).await;
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let hash = hash(&bytes);
    let made = upload(&server, 1, &bytes).await;
    assert_eq!(made.status, 201);
    let told = made.json();
    assert_eq!((&told["sha256"], &told["size"]), (&hash.clone().into(), &800_000.into()));
    assert_eq!(told["url"], format!("{}/{hash}.txt", server.url()));
    assert_eq!(upload(&server, 1, &bytes).await.status, 200, "the same again is no new blob");
    server.stop().await;
    let server = start(&dir, BlossomConfig::default()).await;
    let whole = ask(&server, &format!("GET /{hash}"), "", b"").await;
    assert_eq!((whole.status, whole.body.len()), (200, bytes.len()));
    assert!(whole.body == bytes && whole.head.contains("content-type: text/plain"));
    let part = ask(&server, &format!("GET /{hash}.txt"), "Range: bytes=4-11\r\n", b"").await;
    assert_eq!((part.status, part.body.as_slice()), (206, &bytes[4..12]));
    assert!(part.head.contains("content-range: bytes 4-11/800000"));
    let beyond = ask(&server, &format!("GET /{hash}"), "Range: bytes=900000-\r\n", b"").await;
    assert_eq!(beyond.status, 416);
    let head = ask(&server, &format!("HEAD /{hash}"), "", b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.head.contains("content-length: 800000"));
    let list = format!("GET /list/{}", keys(1).public_key().to_hex());
    assert_eq!(ask(&server, &list, "", b"").await.json()[0]["sha256"], hash);
    server.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn blobs_are_for_their_owner_alone_on_disk() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir, BlossomConfig::default()).await;
    upload(&server, 1, b"private").await;
    let hash = hash(b"private");
    let path = dir.path().join("blobs").join(&hash[..2]).join(&hash);
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    server.stop().await;
}

#[tokio::test]
async fn only_signed_uploads_of_the_named_hash_within_the_limit_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let config = BlossomConfig { max_blob_bytes: 1_000, ..BlossomConfig::default() };
    let server = start(&dir, config).await;
    let send = |headers: String, body: &'static [u8]| {
        let headers = format!("{headers}Content-Length: {}\r\n", body.len());
        let server = &server;
        async move { ask(server, "PUT /upload", &headers, body).await }
    };
    let unsigned = send(String::new(), b"x").await;
    assert_eq!(unsigned.status, 401);
    assert!(unsigned.head.contains("x-reason: an authorization header"));
    assert_eq!(send(signed(1, "delete", &hash(b"x")), b"x").await.status, 401);
    assert_eq!(send(signed(1, "upload", &hash(b"y")), b"x").await.status, 403);
    let large: &'static [u8] = Box::leak(vec![7; 5_000].into_boxed_slice());
    assert_eq!(send(signed(1, "upload", &hash(large)), large).await.status, 413);
    let chunked = format!("{}Transfer-Encoding: chunked\r\n", signed(1, "upload", &hash(large)));
    let mut body = b"1388\r\n".to_vec();
    body.extend_from_slice(large);
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    assert_eq!(ask(&server, "PUT /upload", &chunked, &body).await.status, 413);
    let left = std::fs::read_dir(dir.path().join("blobs/uploads")).unwrap().count();
    assert_eq!(left, 0, "refused uploads leave nothing");
    assert_eq!(ask(&server, &format!("GET /{}", hash(b"x")), "", b"").await.status, 404);
    assert_eq!(ask(&server, "GET /../../etc/passwd", "", b"").await.status, 404);
    assert_eq!(ask(&server, "POST /upload", "", b"").await.status, 405);
    server.stop().await;
}

#[tokio::test]
async fn a_blob_goes_with_its_last_owner() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir, BlossomConfig::default()).await;
    let hash = hash(b"shared");
    upload(&server, 1, b"shared").await;
    upload(&server, 2, b"shared").await;
    let delete = format!("DELETE /{hash}");
    let server = &server;
    let status = |by, named: String| {
        let delete = &delete;
        async move { ask(server, delete, &signed(by, "delete", &named), b"").await.status }
    };
    assert_eq!(status(3, hash.clone()).await, 403);
    assert_eq!(status(1, "ab".repeat(32)).await, 403);
    assert_eq!(status(1, hash.clone()).await, 200);
    assert_eq!(ask(server, &format!("GET /{hash}"), "", b"").await.body, b"shared");
    assert_eq!(status(2, hash.clone()).await, 200);
    assert_eq!(ask(server, &format!("GET /{hash}"), "", b"").await.status, 404);
    assert_eq!(status(2, hash).await, 404);
}

#[tokio::test]
async fn what_a_crash_left_behind_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join("blobs");
    let server = start(&dir, BlossomConfig::default()).await;
    upload(&server, 1, b"kept").await;
    server.stop().await;
    std::fs::write(blobs.join("uploads/7"), b"half").unwrap();
    let orphan = "ab".repeat(32);
    std::fs::create_dir_all(blobs.join("ab")).unwrap();
    std::fs::write(blobs.join("ab").join(&orphan), b"no note").unwrap();
    let server = start(&dir, BlossomConfig::default()).await;
    assert_eq!(ask(&server, &format!("GET /{orphan}"), "", b"").await.status, 404);
    assert!(!blobs.join("ab").join(&orphan).exists() && !blobs.join("uploads/7").exists());
    assert_eq!(ask(&server, &format!("GET /{}", hash(b"kept")), "", b"").await.body, b"kept");
    server.stop().await;
}
