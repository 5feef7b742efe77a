//! Answers of receivers: their sizes, lengths, encodings and ends.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{AddressPolicy, BadWebhookUrl, WebhookUrl};
use http::HeaderMap;
use scrip_webhooks::{
    DeliveryError, EndpointResponse, ForbiddenTarget, KEPT_BYTES_MAX, PostTimeouts, SENT_BYTES_MAX,
    WebhookClient,
};

use super::peer::{Peer, PeerAnswer};
use super::{LONG, SHORT, post, url};

/// 300,000 zeros, compressed by Python's gzip.
const ZEROS: &str = "H4sIAAAAAAACA+3BAQ0AAADCoPdPbQ8HFAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/Bj74rL24JMEAA==";

/// The outcome of a request to a receiver with this answer.
async fn outcome(answer: PeerAnswer) -> Result<EndpointResponse, DeliveryError> {
    outcome_within(LONG, answer).await
}

async fn outcome_within(limits: PostTimeouts, answer: PeerAnswer) -> Result<EndpointResponse, DeliveryError> {
    let peer = Peer::start(answer).await;
    post(&WebhookClient::new(AddressPolicy::AndLoopback).limited(limits), &peer.url()).await.outcome
}

/// The status and body that the sender reads from these bytes.
async fn read_answer(bytes: &[u8]) -> Result<(u16, String), DeliveryError> {
    outcome(PeerAnswer::Bytes(bytes.to_vec())).await.map(|reply| (reply.status, reply.body))
}

#[tokio::test]
async fn a_delivery_is_one_request_with_one_answer() {
    let peer = Peer::start(PeerAnswer::whole("202 Accepted\r\nX-Request: 7", "taken")).await;
    let sender = WebhookClient::new(AddressPolicy::AndLoopback);
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", "evt_1".parse().unwrap());
    headers.insert("host", "elsewhere.example".parse().unwrap());
    headers.insert("content-length", "3".parse().unwrap());
    let sent = sender.post(&url(&peer.url()), headers, Bytes::from_static(b"{\"a\":1}")).await;
    let reply = sent.outcome.unwrap();
    assert_eq!((reply.status, reply.body.as_str(), reply.retry_after_seconds), (202, "taken", None));
    assert!(reply.headers.contains(&("x-request".into(), "7".into())), "{:?}", reply.headers);
    assert_eq!(
        peer.seen(),
        [format!(
            "POST /hooks?a=b HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nuser-agent: Scrip-Webhooks/1\r\n\
             accept-encoding: identity\r\nconnection: close\r\nwebhook-id: evt_1\r\ncontent-length: 7\r\n\r\n\
             {{\"a\":1}}",
            peer.port()
        )]
    );
}

#[tokio::test]
async fn every_status_is_an_answer_and_no_redirection_is_followed() {
    let elsewhere = Peer::start(PeerAnswer::whole("200 OK", "")).await;
    for location in [elsewhere.url(), "file:///etc/passwd".into(), "http://169.254.169.254/".into()] {
        for status in [300, 301, 302, 303, 305, 307, 308] {
            let answer = PeerAnswer::whole(&format!("{status} Moved\r\nlocation: {location}"), "moved");
            let reply = outcome(answer).await.unwrap();
            assert_eq!((reply.status, reply.body.as_str()), (status, "moved"));
            assert!(reply.headers.contains(&("location".into(), location.clone())));
        }
    }
    assert_eq!(elsewhere.seen(), [""; 0]);
    for status in [200, 299, 400, 404, 407, 410, 421, 429, 500, 502, 503, 504, 999] {
        assert_eq!(outcome(PeerAnswer::whole(&format!("{status} Told"), "")).await.unwrap().status, status);
    }
    assert_eq!(read_answer(b"HTTP/1.1 204 No Content\r\n\r\n").await, Ok((204, String::new())));
    assert_eq!(
        read_answer(b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok").await,
        Ok((200, "ok".into()))
    );
    assert_eq!(read_answer(b"HTTP/1.0 200 OK\r\n\r\nold").await, Ok((200, "old".into())));
}

#[tokio::test]
async fn a_receiver_says_when_to_come_again() {
    for (fields, seconds) in [
        ("429 Slow\r\nretry-after: 120", Some(120)),
        (
            "503 Down\r\nRetry-After: Sun, 06 Nov 1994 08:51:37 GMT\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT",
            Some(120),
        ),
        ("503 Down\r\nRetry-After: Sun, 06 Nov 1994 08:51:37 GMT", None),
        ("429 Slow", None),
    ] {
        assert_eq!(
            outcome(PeerAnswer::whole(fields, "")).await.unwrap().retry_after_seconds,
            seconds,
            "{fields}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_never_ends_times_out() {
    for answer in [
        // Nothing; half a head; the head byte by byte; the body byte by byte; a body that never ends.
        PeerAnswer::Hang(Vec::new()),
        PeerAnswer::Hang(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
        PeerAnswer::Drip(b"HTTP/1.1 200 OK\r\nx-slow: ".to_vec(), b'a'),
        PeerAnswer::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b'a'),
        PeerAnswer::Hang(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab".to_vec()),
        PeerAnswer::Hang(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec()),
        PeerAnswer::Hang(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
    ] {
        assert_eq!(outcome_within(SHORT, answer).await, Err(DeliveryError::Timeout));
    }
    let kept = "a".repeat(KEPT_BYTES_MAX);
    for answer in [
        PeerAnswer::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'a'; 1000]),
        PeerAnswer::Hang(format!("HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n{kept}").into_bytes()),
        PeerAnswer::Flood(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
            b"5\r\naaaaa\r\n".to_vec(),
        ),
    ] {
        let reply = outcome(answer).await.unwrap();
        assert_eq!((reply.status, reply.body), (200, kept.clone()));
    }
}

#[tokio::test]
async fn a_large_answer_is_cut_at_the_limit() {
    let head = b"HTTP/1.1 200 OK\r\n".to_vec();
    let field = format!("x-large: {}\r\n", "a".repeat(1000)).into_bytes();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for answer in [
        PeerAnswer::Flood(head.clone(), field.clone()),
        PeerAnswer::Flood([head.clone(), b"x-endless: ".to_vec()].concat(), vec![b'a'; 1000]),
        PeerAnswer::Flood(Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        PeerAnswer::Flood(b"HTTP/1.1 200 ".to_vec(), vec![b'O'; 1000]),
        PeerAnswer::Bytes([head.clone(), b"x: 1\r\n".repeat(101), b"\r\n".to_vec()].concat()),
        PeerAnswer::Bytes([head.clone(), field.repeat(70), b"\r\nbody".to_vec()].concat()),
    ] {
        assert_eq!(outcome(answer).await, Err(DeliveryError::TooLarge));
    }
    // Framing without a body, or with very little: chunk extensions, a chunk length and trailers that never end.
    for answer in [
        PeerAnswer::Flood([chunked.clone(), b"1;".to_vec()].concat(), vec![b'a'; 1000]),
        PeerAnswer::Flood([chunked.clone(), b"1;".to_vec()].concat(), b"x=0123456789\r\na\r\n1;".to_vec()),
        PeerAnswer::Flood(chunked.clone(), vec![b'0'; 1000]),
        PeerAnswer::Flood([chunked.clone(), b"0\r\n".to_vec()].concat(), field.clone()),
    ] {
        let trouble = outcome(answer).await.unwrap_err();
        assert!(matches!(trouble, DeliveryError::TooLarge | DeliveryError::Broken), "{trouble:?}");
    }
    let reply =
        outcome(PeerAnswer::Bytes([head, field.repeat(60), b"\r\nbody".to_vec()].concat())).await.unwrap();
    assert_eq!((reply.headers.len(), reply.headers[0].1.len(), reply.body.as_str()), (20, 256, "body"));
}

#[tokio::test]
async fn nothing_is_decompressed() {
    let bomb = STANDARD.decode(ZEROS).unwrap().repeat(20);
    assert!(bomb.len() > KEPT_BYTES_MAX);
    for coding in ["content-encoding: gzip", "content-encoding: gzip, gzip", "x-a: b"] {
        let head = format!("HTTP/1.1 200 OK\r\n{coding}\r\ncontent-length: {}\r\n\r\n", bomb.len());
        let reply = outcome(PeerAnswer::Bytes([head.into_bytes(), bomb.clone()].concat())).await.unwrap();
        assert_eq!(reply.body, String::from_utf8_lossy(&bomb[..KEPT_BYTES_MAX]));
    }
    // A transfer coding is not a content coding that the request offered.
    let coded = b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n\x1f\x8b\r\n0\r\n\r\n";
    assert_eq!(read_answer(coded).await, Ok((200, "\u{1f}\u{fffd}".into())));
}

#[tokio::test]
async fn a_wrong_length_neither_extends_nor_completes_an_answer() {
    let broken = Err(DeliveryError::Broken);
    for (bytes, expected) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabcd"[..], Ok((200, "ab".to_owned()))),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 500 No\r\n\r\n", Ok((200, String::new()))),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabcd", broken.clone()),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 4\r\n\r\nabcd", broken.clone()),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nabcd", broken.clone()),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nabcd", broken.clone()),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabcd", broken.clone()),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabcd", broken.clone()),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nabcd", broken.clone()),
    ] {
        assert_eq!(read_answer(bytes).await, expected, "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn bytes_that_are_not_http_are_no_answer() {
    for bytes in [
        &b""[..],
        b"\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n: none\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"<html>200 OK</html>",
        b"{\"status\": 200}",
    ] {
        assert_eq!(
            read_answer(bytes).await,
            Err(DeliveryError::Broken),
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[tokio::test]
async fn a_forbidden_delivery_opens_no_connection() {
    let peer = Peer::start(PeerAnswer::whole("200 OK", "")).await;
    let (public, local) =
        (WebhookClient::new(AddressPolicy::Public), WebhookClient::new(AddressPolicy::AndLoopback));
    let large = Bytes::from(vec![b'a'; SENT_BYTES_MAX + 1]);
    let sent = local.post(&url(&peer.url()), HeaderMap::new(), large.clone()).await;
    assert_eq!(sent.outcome, Err(DeliveryError::TooLarge));
    // An address that was stored under older rules is checked again.
    for (text, why) in [
        (peer.url(), BadWebhookUrl::Scheme),
        (format!("https://127.0.0.1:{}/", peer.port()), BadWebhookUrl::Address),
        (format!("https://localhost:{}/", peer.port()), BadWebhookUrl::PrivateName("localhost")),
        (format!("https://a:b@127.0.0.1:{}/", peer.port()), BadWebhookUrl::UserInfo),
    ] {
        let sent = public.post(&WebhookUrl::stored(&text).unwrap(), HeaderMap::new(), Bytes::new()).await;
        assert_eq!(sent.outcome, Err(DeliveryError::Forbidden(ForbiddenTarget::Url(why))), "{text}");
    }
    assert_eq!(peer.seen(), [""; 0]);
    let largest = large.slice(..SENT_BYTES_MAX);
    assert_eq!(local.post(&url(&peer.url()), HeaderMap::new(), largest).await.outcome.unwrap().status, 200);
}
