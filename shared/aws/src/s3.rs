//! The port of files on Amazon S3.

use std::fs::File;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use ports::{FileError, FileStore, LinkTerms, StoredFile};
use tokio::io::AsyncReadExt;

use crate::{Connection, aws_client};

/// The size of a part of an upload, in bytes, and of what is in memory of a file. S3 allows 10,000 parts, so a file has at
/// most 80 GB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// A bucket and how to reach S3.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// The bucket's name.
    pub name: String,
    /// How to reach S3.
    pub connection: Connection,
}

/// A bucket of S3. The client is created with the first call.
pub struct S3 {
    bucket: Bucket,
    client: OnceLock<Client>,
}

/// An upload in parts.
struct Upload<'a> {
    s3: &'a S3,
    key: &'a str,
    id: String,
}

impl S3 {
    /// The timeout of one attempt, in seconds: enough for a part on a slow connection.
    const ATTEMPT_SECONDS: u64 = 20;
    /// The timeout of one call with all of the SDK's attempts, in seconds.
    const CALL_SECONDS: u64 = 60;

    /// Files in `bucket`.
    #[must_use]
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket, client: OnceLock::new() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let client =
                aws_client!(aws_sdk_s3, self.bucket.connection, Self::ATTEMPT_SECONDS, Self::CALL_SECONDS);
            // An emulator has no host of its own for each bucket.
            let is_emulated = self.bucket.connection.endpoint.is_some();
            Client::from_conf(client.config().to_builder().force_path_style(is_emulated).build())
        })
    }

    async fn put_whole(&self, file: &StoredFile, bytes: Vec<u8>) -> Result<(), FileError> {
        let put = self.client().put_object().bucket(&self.bucket.name).key(&file.key);
        let put = put.content_type(file.media_type).body(ByteStream::from(bytes));
        put.send().await.map(|_| ()).map_err(|error| FileError::stored(DisplayErrorContext(error)))
    }

    async fn put_in_parts(
        &self,
        file: &StoredFile,
        first: Vec<u8>,
        content: tokio::fs::File,
    ) -> Result<(), FileError> {
        let create = self.client().create_multipart_upload().bucket(&self.bucket.name).key(&file.key);
        let created = create.content_type(file.media_type).send().await;
        let created = created.map_err(|error| FileError::stored(DisplayErrorContext(error)))?;
        let id = created.upload_id.ok_or_else(|| FileError::stored("the upload has no id"))?;
        let upload = Upload { s3: self, key: &file.key, id };
        match upload.send(first, content).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // Parts that stay are removed by the bucket's lifecycle.
                upload.abort().await;
                Err(error)
            }
        }
    }
}

impl Upload<'_> {
    async fn send(&self, first: Vec<u8>, mut content: tokio::fs::File) -> Result<(), FileError> {
        let (mut part, mut number, mut parts) = (first, 1i32, Vec::new());
        while !part.is_empty() {
            parts.push(self.send_part(number, part).await?);
            number = number.saturating_add(1);
            part = next_part(&mut content).await?;
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.s3.client().complete_multipart_upload().bucket(&self.s3.bucket.name);
        let complete = complete.key(self.key).upload_id(&self.id).multipart_upload(parts);
        complete.send().await.map(|_| ()).map_err(|error| FileError::stored(DisplayErrorContext(error)))
    }

    async fn send_part(&self, number: i32, bytes: Vec<u8>) -> Result<CompletedPart, FileError> {
        let part = self.s3.client().upload_part().bucket(&self.s3.bucket.name).key(self.key);
        let part = part.upload_id(&self.id).part_number(number).body(ByteStream::from(bytes));
        let sent = part.send().await.map_err(|error| FileError::stored(DisplayErrorContext(error)))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    }

    async fn abort(&self) {
        let abort = self.s3.client().abort_multipart_upload().bucket(&self.s3.bucket.name);
        drop(abort.key(self.key).upload_id(&self.id).send().await);
    }
}

/// The next part of a file; empty at its end.
async fn next_part(content: &mut tokio::fs::File) -> Result<Vec<u8>, FileError> {
    let mut part = Vec::new();
    let most = u64::try_from(PART_BYTES).unwrap_or(u64::MAX);
    content.take(most).read_to_end(&mut part).await.map_err(FileError::stored)?;
    Ok(part)
}

#[async_trait]
impl FileStore for S3 {
    async fn put(&self, file: &StoredFile, content: File) -> Result<(), FileError> {
        let mut content = tokio::fs::File::from_std(content);
        let first = next_part(&mut content).await?;
        if first.len() < PART_BYTES {
            self.put_whole(file, first).await
        } else {
            self.put_in_parts(file, first, content).await
        }
    }

    async fn link(&self, file: &StoredFile, terms: LinkTerms) -> Result<String, FileError> {
        let left = terms.until.signed_duration_since(terms.now).num_seconds();
        let left = u64::try_from(left).unwrap_or(0).max(1);
        let config = PresigningConfig::expires_in(Duration::from_secs(left)).map_err(FileError::linked)?;
        let get = self.client().get_object().bucket(&self.bucket.name).key(&file.key);
        let get = get.response_content_type(file.media_type);
        let get = get.response_content_disposition(format!("attachment; filename=\"{}\"", file.name));
        let link = get.presigned(config).await;
        Ok(link.map_err(|error| FileError::linked(DisplayErrorContext(error)))?.uri().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Seek, Write};
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::RawQuery;
    use bytes::Bytes;
    use http::{Method, StatusCode, Uri};
    use ports::NoFiles;
    use tokio::net::TcpListener;

    use super::*;

    /// What a bucket has received: the size of each body, by method and path with the query's names.
    #[derive(Clone, Default)]
    struct Received(Arc<Mutex<Vec<(String, usize)>>>);

    const CREATED: &str =
        "<InitiateMultipartUploadResult><UploadId>up</UploadId></InitiateMultipartUploadResult>";
    const COMPLETED: &str = "<CompleteMultipartUploadResult><ETag>all</ETag></CompleteMultipartUploadResult>";

    /// A bucket at loopback that refuses part `broken`.
    async fn bucket(broken: &'static str) -> (S3, Received) {
        let received = Received::default();
        let log = received.clone();
        let take = move |method: Method, uri: Uri, RawQuery(query): RawQuery, body: Bytes| async move {
            let query = query.unwrap_or_default();
            let pairs: BTreeMap<_, _> =
                query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
            let part = pairs.get("partNumber").copied().unwrap_or_default();
            let what = if pairs.contains_key("uploads") { "uploads" } else { part };
            log.0.lock().unwrap().push((format!("{method} {} {what}", uri.path()), body.len()));
            if !broken.is_empty() && part == broken {
                return (
                    StatusCode::FORBIDDEN,
                    [("etag", "none")],
                    "<Error><Code>AccessDenied</Code></Error>",
                );
            }
            let answer = match (method == Method::POST, what) {
                (true, "uploads") => CREATED,
                (true, _) => COMPLETED,
                (false, _) => "",
            };
            (StatusCode::OK, [("etag", "\"part\"")], answer)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).layer(axum::extract::DefaultBodyLimit::disable());
        tokio::spawn(axum::serve(listener, router).into_future());
        let text = |text: &str| text.to_owned();
        let connection = Connection {
            region: text("eu-west-2"),
            access_key: text("key"),
            secret_key: text("secret"),
            session_token: None,
            endpoint: Some(endpoint),
        };
        (S3::new(Bucket { name: text("files"), connection }), received)
    }

    fn stored() -> StoredFile {
        StoredFile { key: "a/b.csv".to_owned(), name: "b.csv".to_owned(), media_type: "text/csv" }
    }

    fn content(bytes: usize) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; bytes]).unwrap();
        file.rewind().unwrap();
        file
    }

    fn paths(received: &Received) -> Vec<String> {
        received.0.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }

    #[tokio::test]
    async fn a_small_file_is_one_request_and_a_large_one_has_parts() {
        let (s3, received) = bucket("").await;
        s3.put(&stored(), content(1_000)).await.unwrap();
        assert_eq!(paths(&received), ["PUT /files/a/b.csv "]);
        received.0.lock().unwrap().clear();
        s3.put(&stored(), content(2 * PART_BYTES + 5)).await.unwrap();
        let expected = [
            "POST /files/a/b.csv uploads",
            "PUT /files/a/b.csv 1",
            "PUT /files/a/b.csv 2",
            "PUT /files/a/b.csv 3",
            "POST /files/a/b.csv ",
        ];
        assert_eq!(paths(&received), expected);
        // The SDK adds the checksum to the body.
        let sizes: Vec<_> = received.0.lock().unwrap().iter().map(|(_, bytes)| *bytes).collect();
        assert!(PART_BYTES <= sizes[1] && PART_BYTES <= sizes[2] && sizes[3] < 1_000, "{sizes:?}");
    }

    #[tokio::test]
    async fn an_upload_that_fails_is_aborted() {
        let (s3, received) = bucket("2").await;
        let error = s3.put(&stored(), content(2 * PART_BYTES)).await.unwrap_err();
        assert!(error.to_string().contains("AccessDenied"), "{error}");
        assert_eq!(paths(&received).last().unwrap(), "DELETE /files/a/b.csv ");
        assert!(NoFiles.put(&stored(), content(1)).await.is_err());
    }

    #[tokio::test]
    async fn a_link_has_an_end_and_a_name() {
        let (s3, _) = bucket("").await;
        let now: chrono::DateTime<chrono::Utc> = "2026-11-30T10:00:00Z".parse().unwrap();
        let until = "2026-12-01T10:00:00Z".parse().unwrap();
        let link = s3.link(&stored(), LinkTerms { now, until }).await.unwrap();
        assert!(link.contains("/files/a/b.csv?") && link.contains("X-Amz-Expires=86400"), "{link}");
        let name = "response-content-disposition=attachment%3B%20filename%3D%22b.csv%22";
        assert!(link.contains(name) && link.contains("response-content-type=text%2Fcsv"), "{link}");
        assert!(NoFiles.link(&stored(), LinkTerms { now, until }).await.is_err());
    }
}
