//! The control socket against bad callers: wrong token, bad lines, long lines, many calls at once.
#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use domain::ErrorBody;
use host::ipc::{self, Client, Handler, Rendezvous};
use interprocess::local_socket::{
    GenericFilePath, ToFsName, tokio::Stream, traits::tokio::Stream as _,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{future::Future, path::Path, pin::Pin, sync::Arc, time::Duration};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

struct Echo;

impl Handler for Echo {
    fn call<'a>(
        &'a self,
        method: &'a str,
        params: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, ErrorBody>> + Send + 'a>> {
        Box::pin(async move {
            match method {
                "echo" => Ok(params),
                "slow" => {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    Ok(json!("slow"))
                }
                _ => Err(ErrorBody::new("unknown_method", format!("{method} is not known"))),
            }
        })
    }
}

async fn raw(dir: &Path) -> BufReader<Stream> {
    let rendezvous = Rendezvous::read(&dir.join("control.json")).unwrap();
    let name = rendezvous.socket.as_str().to_fs_name::<GenericFilePath>().unwrap();
    BufReader::new(Stream::connect(name).await.unwrap())
}

async fn say(stream: &mut BufReader<Stream>, line: &[u8]) -> Option<Value> {
    stream.get_mut().write_all(line).await.ok()?;
    stream.get_mut().write_all(b"\n").await.ok()?;
    hear(stream).await
}

async fn hear(stream: &mut BufReader<Stream>) -> Option<Value> {
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_line(&mut answer));
    match read.await.expect("an answer or the end within 10 s") {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(serde_json::from_str(&answer).unwrap()),
    }
}

async fn opened(dir: &Path) -> BufReader<Stream> {
    let token = Rendezvous::read(&dir.join("control.json")).unwrap().token;
    let mut stream = raw(dir).await;
    let hello = json!({"jsonrpc":"2.0","id":1,"method":"authenticate","params":{"token":token}});
    let answer = say(&mut stream, hello.to_string().as_bytes()).await.unwrap();
    assert_eq!(answer["result"], true);
    stream
}

#[tokio::test]
async fn a_wrong_token_gets_one_error_and_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let _server = ipc::serve(dir.path(), "control", Arc::new(Echo)).unwrap();
    for token in ["", "x", &"0".repeat(64)] {
        let mut stream = raw(dir.path()).await;
        let hello =
            json!({"jsonrpc":"2.0","id":1,"method":"authenticate","params":{"token":token}});
        let answer = say(&mut stream, hello.to_string().as_bytes()).await.unwrap();
        assert_eq!(answer["error"]["data"]["code"], "wrong_token");
        let echo = json!({"jsonrpc":"2.0","id":2,"method":"echo","params":1});
        assert!(say(&mut stream, echo.to_string().as_bytes()).await.is_none());
    }
}

#[tokio::test]
async fn nothing_is_answered_before_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let _server = ipc::serve(dir.path(), "control", Arc::new(Echo)).unwrap();
    let mut stream = raw(dir.path()).await;
    let echo = json!({"jsonrpc":"2.0","id":2,"method":"echo","params":"secret?"});
    let answer = say(&mut stream, echo.to_string().as_bytes()).await.unwrap();
    assert_eq!(answer["error"]["data"]["code"], "wrong_token");
}

#[tokio::test]
async fn many_calls_share_a_connection_and_a_slow_one_holds_up_none() {
    let dir = tempfile::tempdir().unwrap();
    let _server = ipc::serve(dir.path(), "control", Arc::new(Echo)).unwrap();
    let client = Arc::new(Client::connect(dir.path(), "control").await.unwrap());
    let slow = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.call("slow", Value::Null).await }
    });
    let calls: Vec<_> = (0..500)
        .map(|n| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.call("echo", json!(n)).await })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), json!(n));
    }
    assert_eq!(slow.await.unwrap().unwrap(), json!("slow"));
    let error = client.call("nothing", Value::Null).await.unwrap_err();
    assert_eq!(error.code, "unknown_method");
}

#[tokio::test]
async fn a_client_learns_that_the_server_went() {
    let dir = tempfile::tempdir().unwrap();
    let server = ipc::serve(dir.path(), "control", Arc::new(Echo)).unwrap();
    let client = Arc::new(Client::connect(dir.path(), "control").await.unwrap());
    let slow = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.call("slow", Value::Null).await }
    });
    assert_eq!(client.call("echo", json!(1)).await.unwrap(), json!(1));
    drop(server);
    let cut = slow.await.unwrap().unwrap_err();
    assert_eq!((cut.code.as_ref(), cut.retryable), ("connection_lost", true));
    assert!(client.call("echo", json!(2)).await.is_err(), "an open connection ends too");
    let error = Client::connect(dir.path(), "control").await.err().unwrap();
    assert_eq!(error.exit, domain::ExitCode::NotReachable);
    drop(client);
}

#[tokio::test]
async fn a_line_without_end_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let _server = ipc::serve(dir.path(), "control", Arc::new(Echo)).unwrap();
    let mut stream = opened(dir.path()).await;
    let chunk = vec![b'a'; 1 << 20];
    let mut sent = 0;
    while sent <= ipc::MAX_LINE_BYTES + (2 << 20) {
        if stream.get_mut().write_all(&chunk).await.is_err() {
            break;
        }
        sent += chunk.len();
    }
    assert!(hear(&mut stream).await.is_none());
}

#[test]
fn any_line_gets_an_error_or_an_answer_and_the_connection_lives() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let _entered = runtime.enter();
    let _server = ipc::serve(dir.path(), "control", Arc::new(Echo)).unwrap();
    let mut stream = runtime.block_on(opened(dir.path()));
    let lines = prop_oneof![
        "[^\n]{0,200}",
        any::<i64>().prop_map(|n| n.to_string()),
        "[a-z]{1,8}".prop_map(|m| json!({"jsonrpc":"1.0","id":3,"method":m}).to_string()),
        "[a-z]{1,8}".prop_map(|m| json!({"jsonrpc":"2.0","id":m,"method":m}).to_string()),
        "[a-z]{1,8}".prop_map(|m| json!({"jsonrpc":"2.0","id":4,"method":m}).to_string()),
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    let stream = std::cell::RefCell::new(&mut stream);
    runner
        .run(&lines, |line| {
            let answer = runtime.block_on(say(*stream.borrow_mut(), line.as_bytes()));
            let answer = answer.expect("the connection lives");
            prop_assert!(answer["error"]["data"]["code"].is_string(), "{}", answer);
            Ok(())
        })
        .unwrap();
    let echo = json!({"jsonrpc":"2.0","id":9,"method":"echo","params":"still here"});
    let answer = runtime.block_on(say(*stream.borrow_mut(), echo.to_string().as_bytes()));
    assert_eq!(answer.unwrap()["result"], "still here");
}
